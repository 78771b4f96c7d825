"""What a captioner says whom a bare CLIP reward has spoilt: negatives for the grammar head.

Corruptions (`negatives.grammar`) are guesses at how a policy loses the language; these are what one
did say. A head that has seen them refuses the very ways out that the reward leaves open. The same
columns as the corruptions', kind `spoilt`, each beside a correct caption of the same image.

What counts is what no correct caption may be: neither one of the train texts, nor made of their
word classes in their order (`Corpus.may_be_correct`): a spoilt captioner still says some sentences,
and a correct one labelled wrong teaches the head to punish what is right. Of 20,000 captions on the
drawn world 18,998 count, and 1 of them parses by the world's grammar; by the first rule alone it
would be 19,044, and 17.

One harvest, not two: a second, from the captioner that the new head has led, would need an asset
chain of its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from finecap.config import SpoiltNegativesConfig
from finecap.data.records import Record
from finecap.log import Log
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.decoding import decode, to_captions
from finecap.models.device import best_device
from finecap.models.features import Features, open_features
from finecap.negatives.corpus import Corpus, read_corpus
from finecap.negatives.grammar import COLUMNS
from finecap.negatives.words import key

KIND = "spoilt"


def harvest(
    captioner: Path,
    features: Path,
    records: Sequence[Record],
    config: SpoiltNegativesConfig,
    log: Log,
) -> pd.DataFrame:
    """Greedy and sampled captions of train images that no correct caption may be.

    Args:
        captioner: folder of the spoilt captioner.
        features: folder of image features.
        records: validated records.
        config: how many images and samples.
        log: progress.

    Returns:
        Columns caption (a reference of the image), negative, kind; negatives are distinct. No row
        where all that was said may be correct.

    Raises:
        ValueError: no train image has features.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    seen, model = open_features(features), load_captioner(captioner).to(best_device())
    chosen = _chosen(records, seen, config)
    corpus, generator = _corpus_of(records), np.random.default_rng(config.seed)
    found: dict[str, tuple[str, str, str]] = {}
    said = 0
    for record, captions in _spoken(model, seen, chosen, config):
        said += len(captions)
        correct = record.captions[generator.integers(len(record.captions))]
        for caption in captions:
            if _is_wrong(caption, corpus):
                found.setdefault(caption, (correct, caption, KIND))
    log(f"{said} captions of {len(chosen)} images: {len(found)} distinct ones are no sentence")
    return pd.DataFrame(list(found.values()), columns=list(COLUMNS), dtype="str")


def _chosen(
    records: Sequence[Record], features: Features, config: SpoiltNegativesConfig
) -> list[Record]:
    """At most `max_images` train records with features, in seeded order."""
    have = set(features.rows["image"])
    train = [r for r in records if r.split == "train" and r.image in have]
    if not train:
        raise ValueError(
            f"none of {len(records)} records is a train image with features, expected some to "
            "caption; check `features.part` and the split column"
        )
    order = np.random.default_rng(config.seed).permutation(len(train))
    return [train[i] for i in order[: config.max_images]]


def _corpus_of(records: Sequence[Record]) -> Corpus:
    """The counts of all correct train texts, short and long."""
    train = [record for record in records if record.split == "train"]
    short = {caption for record in train for caption in record.captions}
    return read_corpus(short | {record.alt_text for record in train if record.alt_text})


def _spoken(
    captioner: Captioner,
    features: Features,
    records: Sequence[Record],
    config: SpoiltNegativesConfig,
) -> Iterator[tuple[Record, list[str]]]:
    """Each record with its greedy caption and its samples."""
    generator = np.random.default_rng(config.seed)
    for start in range(0, len(records), config.batch_size):
        part = records[start : start + config.batch_size]
        shape = (len(part), config.samples_per_image, config.max_tokens)
        uniforms = torch.from_numpy(1 - generator.random(shape, dtype=np.float32))
        inputs = features.inputs_of(captioner, features.positions([r.image for r in part]))
        with torch.no_grad():
            memory = captioner.memory(inputs)
        tokens = decode(
            captioner,
            memory,
            config.max_tokens,
            uniforms=uniforms.to(captioner.device) if config.samples_per_image else None,
            temperature=config.temperature,
        )  # (B, 1 + K, T)
        yield from zip(part, to_captions(captioner, tokens), strict=True)


def _is_wrong(caption: str, corpus: Corpus) -> bool:
    """Whether a caption has words, and no correct caption may be these words."""
    words = key(caption)
    return bool(words) and words not in corpus.keys and not corpus.may_be_correct(words)
