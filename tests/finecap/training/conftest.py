"""Models of transformers that read the tiny world's pixels, fine-tuned once for all tests."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from finecap.config import FeaturesConfig, MleConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.models.features import extract
from finecap.training.mle import train_mle


@pytest.fixture(scope="session")
def pixels(tiny: SimpleNamespace) -> Path:
    """Features with 16 px images."""
    folder = tiny.new()
    config = FeaturesConfig(pixel_size=16)
    extract(tiny.folder, tiny.records, tiny.encoder, config, folder, lambda *_, **__: None)
    return folder


@pytest.fixture(scope="session")
def fine_tuned(
    tiny: SimpleNamespace, pixels: Path, pretrained: Callable[..., Path]
) -> Callable[[str], SimpleNamespace]:
    """A model of a kind that speaks the tiny world's words: `start`, `folder`, `config`, `log`."""
    runs: dict[str, SimpleNamespace] = {}

    def run_of(kind: str) -> SimpleNamespace:
        if kind not in runs:
            vocabulary = WordTokenizer.build([c for r in tiny.records for c in r.captions])
            start = pretrained(kind, vocabulary.words[4:], 0.2)
            runs[kind] = _fine_tune(tiny, pixels, start)
        return runs[kind]

    return run_of


def _fine_tune(tiny: SimpleNamespace, pixels: Path, start: Path) -> SimpleNamespace:
    """Eight epochs."""
    lines: list[dict[str, float]] = []

    def log(message: str, step: int | None = None, **metrics: float) -> None:
        assert message
        lines.append({"step": step or 0, **metrics})

    config = MleConfig(
        family="huggingface", pretrained=str(start), epochs=8, batch_size=16, lr=3e-3, max_tokens=24
    )
    folder = tiny.new()
    metrics = train_mle(pixels, tiny.records, config, folder, log)
    return SimpleNamespace(start=start, folder=folder, config=config, log=lines, metrics=metrics)
