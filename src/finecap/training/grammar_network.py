"""Training the grammar network g(c) on captions and their corruptions, and what it has learnt.

The network is an encoder's (a head with a tower of its own, or on CLIP's) or stands alone.
A recurrent tower has a phase of its own before the other losses, a third of the cost of a step of
all of them; a head on CLIP's text tower learns along with that tower, and only there. All texts are
tokenised with the prompt, as they are when g scores them. The network itself: `models.grammar`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from finecap.config import ClipRewardConfig, JudgeGrammarConfig
from finecap.log import Log
from finecap.models.clip import ClipEncoder
from finecap.models.grammar import GrammarNetwork
from finecap.training.batches import SeededDraws
from finecap.training.checkpoint import Checkpoints
from finecap.training.loop import Loop, Schedule, parameter_groups

Network = ClipEncoder | GrammarNetwork
Settings = ClipRewardConfig | JudgeGrammarConfig

_WARMUP_STEPS = 30


def grammar_loss(encoder: Network, correct: list[str], corrupted: list[str]) -> Tensor:
    """Binary cross-entropy of the head on captions (1) and corruptions (0), (G,) each."""
    g = encoder.grammar_logits(encoder.tokenize(correct + corrupted))  # (2G,)
    labels = (torch.arange(len(g), device=g.device) < len(correct)).float()
    return F.binary_cross_entropy_with_logits(g, labels)


def learn_grammar(
    encoder: Network,
    table: pd.DataFrame,
    config: Settings,
    log: Log,
    checkpoints: Path | None = None,
) -> None:
    """Train a recurrent tower and its head alone, `grammar_steps` of caption and negative."""
    schedule = Schedule(config.head_lr, config.grammar_steps, _WARMUP_STEPS)
    groups = head_groups(encoder, config)
    loop = Loop(groups, schedule, log, log_every=50, diverged=checkpoints)
    correct, corrupted = list(table["caption"]), list(table["negative"])

    def draw(generator: np.random.Generator) -> np.ndarray:
        return generator.integers(0, len(correct), config.batch_size)

    def objective(chosen: np.ndarray) -> tuple[Tensor, dict[str, float]]:
        texts = [correct[i] for i in chosen], [corrupted[i] for i in chosen]
        return grammar_loss(encoder, *texts), {}

    batches = SeededDraws(draw, config.seed)
    resumable = Checkpoints(checkpoints, config.model_dump(mode="json"), log)
    with resumable.resuming(encoder=encoder, loop=loop, batches=batches):
        loop.run(objective, batches.next, resumable)


def head_groups(encoder: Network, config: Settings, scale: float = 1.0) -> list[dict[str, Any]]:
    """Optimiser groups of the head and of its own tower, where it has one."""
    parts = [part for part in (encoder.grammar_tower, encoder.head) if part is not None]
    return [group for p in parts for group in parameter_groups(p, config.weight_decay, scale)]


@torch.no_grad()
def grammar_accuracy(encoder: Network, table: pd.DataFrame) -> dict[str, float]:
    """Accuracy of g > 0.5 on the table's captions and corruptions, both classes weighing the same.

    Returns:
        `grammar_accuracy`, `grammar_accuracy_correct`, and one `grammar_accuracy_<kind>` each.
    """
    correct = encoder.grammar_scores(sorted(set(table["caption"]))).numpy() > 0.5  # noqa: PLR2004
    refused = encoder.grammar_scores(list(table["negative"])).numpy() <= 0.5  # noqa: PLR2004
    by_kind = pd.Series(refused).groupby(table["kind"].to_numpy()).mean()
    balanced = (float(correct.mean()) + float(refused.mean())) / 2
    kinds = {f"grammar_accuracy_{kind}": float(value) for kind, value in by_kind.items()}
    return {
        "grammar_accuracy": balanced,
        "grammar_accuracy_correct": float(correct.mean()),
        **kinds,
    }
