"""Training the grammar network that judges: no reward and no captioner ever reads it.

A rate by the head that rewarded a captioner says how well that head was pleased, not how well the
captioner speaks; given to all variants alike it would compare them, and flatter those that climbed
it. This network shares with a reward's head the kinds of corruption and the shape, and nothing
else: it learns from the texts of the judge encoder (another part of the images, or other
references), corrupted by another seed, from other random weights, by the judge's vocabulary.

How far it is to be believed, measured at 400 steps. Flickr8k, trained on one reference per image:
it accepts 0.82 of people's captions of test images and 0.30 of their corruptions, so the table has
its rate on the references beside its rate on captions. Drawn world: 0.99 of held-out captions and
corruptions are told apart, and captioners that speak like the references, or in word salad, get the
parser's rate to 0.01; where a captioner mixes styles that no text has mixed, two seeds differ by up
to 0.3, which no interval over images shows. There `grammatical_rate` is the measure.

What is not here: the network (`models.grammar`), the loop of its training (`grammar_network`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from finecap.config import ClipConfig, GrammarNegativesConfig, JudgeGrammarConfig
from finecap.data.records import Record
from finecap.log import Log
from finecap.models.clip import load_encoder
from finecap.models.device import best_device
from finecap.models.grammar import GrammarNetwork
from finecap.negatives.grammar import build_table
from finecap.training.clip import texts_of
from finecap.training.grammar_network import grammar_accuracy, learn_grammar
from finecap.training.tuning_batches import split


def train_judge_grammar(
    judge: Path,
    records: Sequence[Record],
    config: JudgeGrammarConfig,
    destination: Path,
    log: Log,
    checkpoints: Path | None = None,
) -> dict[str, float]:
    """Train a grammar network on what `judge` was trained on and write it into `destination`.

    Args:
        judge: folder of the encoder that judges; its vocabulary, prompt and part are read.
        records: validated records.
        config: training.
        destination: empty folder.
        log: progress.
        checkpoints: where the run's state is kept, so that it can go on after an end by force.

    Returns:
        `grammar_accuracy` (balanced, on held-out captions and their corruptions), and per kind.

    Raises:
        ValueError: no train image of the judge's part has a caption.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    encoder = load_encoder(judge)
    sizes = encoder.config.context_length, config.width, config.hidden
    network = GrammarNetwork(encoder.tokenizer, encoder.prompt, *sizes).to(best_device())
    table = build_table(_own(records, encoder.config), _negatives(config))
    log(f"{len(table)} corruptions of {table['caption'].nunique()} captions")
    learn, held = split(table, config)
    network.train()
    learn_grammar(network, learn, config, log, checkpoints)
    metrics = grammar_accuracy(network.eval(), held)
    log("held out", config.grammar_steps, **metrics)
    network.save(destination)
    return metrics


def _own(records: Sequence[Record], judge: ClipConfig) -> list[Record]:
    """The train records of the judge's part, with the references that it reads alone."""
    train = [r for r in records if r.split == "train" and judge.part in {"", r.part}]
    if not judge.references:
        return train
    return [
        replace(r, captions=tuple(texts_of(r, "captions", judge.references)), alt_text=None)
        for r in train
    ]


def _negatives(config: JudgeGrammarConfig) -> GrammarNegativesConfig:
    return GrammarNegativesConfig(
        seed=config.seed, per_caption=config.per_caption, max_captions=config.max_captions
    )
