"""The judging grammar network: what it learns from, that it learns, that it resumes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from finecap.config import ClipConfig, JudgeGrammarConfig
from finecap.data.records import Record
from finecap.log import silent
from finecap.models.clip import load_encoder
from finecap.models.grammar import load_grammar_network
from finecap.training import checkpoint, judge_grammar
from finecap.training.judge_grammar import train_judge_grammar

CONFIG = JudgeGrammarConfig(
    width=32, hidden=16, max_captions=200, grammar_steps=120, batch_size=32, head_lr=1e-2
)


@pytest.fixture(scope="module")
def trained(tiny: SimpleNamespace) -> SimpleNamespace:
    folder: Path = tiny.new()
    metrics = train_judge_grammar(tiny.encoder, tiny.records, CONFIG, folder, silent)
    return SimpleNamespace(folder=folder, metrics=metrics)


def test_sentences_score_above_their_words_in_disorder(
    tiny: SimpleNamespace, trained: SimpleNamespace
) -> None:
    captions = sorted({c for r in tiny.records if r.split == "val" for c in r.captions})
    network = load_grammar_network(trained.folder)
    spoilt = [" ".join(reversed(caption.split())) for caption in captions]
    assert network.grammar_scores(captions).mean() > network.grammar_scores(spoilt).mean() + 0.2
    assert trained.metrics["grammar_accuracy"] > 0.6


def test_it_reads_words_by_the_judges_vocabulary_and_prompt(
    tiny: SimpleNamespace, trained: SimpleNamespace
) -> None:
    network, judge = load_grammar_network(trained.folder), load_encoder(tiny.encoder)
    assert network.prompt == judge.prompt
    assert network.tokenize(["a red boat"]).tolist() == judge.tokenize(["a red boat"]).tolist()


def test_the_same_seed_gives_the_same_network(
    tiny: SimpleNamespace, trained: SimpleNamespace, weights_of: Callable[[Path], bytes]
) -> None:
    again: Path = tiny.new()
    train_judge_grammar(tiny.encoder, tiny.records, CONFIG, again, silent)
    assert weights_of(again) == weights_of(trained.folder)


def corrupted_by(
    monkeypatch: pytest.MonkeyPatch, judge: Path, records: list[Record], folder: Path
) -> list[Record]:
    """The records whose texts are corrupted."""
    seen: list[Record] = []
    real = judge_grammar.build_table

    def spy(own: list[Record], config):
        seen.extend(own)
        return real(own, config)

    monkeypatch.setattr(judge_grammar, "build_table", spy)
    short = CONFIG.model_copy(update={"grammar_steps": 1})
    train_judge_grammar(judge, records, short, folder, silent)
    return seen


def judge_with(tiny: SimpleNamespace, **fields: object) -> Path:
    encoder, folder = load_encoder(tiny.encoder), tiny.new()
    encoder.config = ClipConfig.model_validate({**encoder.config.model_dump(), **fields})
    encoder.save(folder)
    return folder


def test_only_texts_of_the_judges_part_are_read(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = judge_with(tiny, part="judge")
    read = corrupted_by(monkeypatch, judge, tiny.records, tiny.new())
    assert {(record.split, record.part) for record in read} == {("train", "judge")}
    assert any(record.alt_text for record in read)


def test_of_references_only_the_judges_own_are_read(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [replace(r, part="") for r in tiny.records if len(r.captions) > 1]
    judge = judge_with(tiny, part="", text="captions", references=[1])
    read = corrupted_by(monkeypatch, judge, records, tiny.new())
    own = {record.image: record.captions[1] for record in records}
    assert [record.captions for record in read] == [(own[record.image],) for record in read]
    assert not any(record.alt_text for record in read)


def test_a_part_without_images_is_refused(tiny: SimpleNamespace) -> None:
    judge = judge_with(tiny, part="elsewhere")
    with pytest.raises(ValueError, match="no caption to corrupt"):
        train_judge_grammar(judge, tiny.records, CONFIG, tiny.new(), silent)


class Broken(Exception):  # noqa: N818  it breaks a run off, and nothing is wrong
    """Raised by progress."""


def test_going_on_is_going_straight(
    tiny: SimpleNamespace,
    trained: SimpleNamespace,
    weights_of: Callable[[Path], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(message: str, step: int | None = None, **_: float) -> None:
        assert message
        if step is not None and step > 60:
            raise Broken

    kept, resumed = tiny.new(), tiny.new()
    monkeypatch.setattr(checkpoint, "EVERY_S", -1.0)
    with pytest.raises(Broken):
        train_judge_grammar(tiny.encoder, tiny.records, CONFIG, tiny.new(), breaks, kept)
    seen: list[str] = []
    log = lambda message, *_, **__: seen.append(message)  # noqa: E731
    again = train_judge_grammar(tiny.encoder, tiny.records, CONFIG, resumed, log, kept)
    assert any(line.startswith("going on from") for line in seen)
    assert again == trained.metrics
    assert weights_of(resumed) == weights_of(trained.folder)
