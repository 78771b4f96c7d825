"""Evaluation end to end with real, tiny, randomly initialised models on drawn squares."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from finecap.config import ClipConfig, EvaluationConfig, FeaturesConfig
from finecap.data.records import Facts, Record
from finecap.data.tokenizer import WordTokenizer
from finecap.evaluation import definitions
from finecap.evaluation.definitions import DEFINITIONS
from finecap.evaluation.evaluate import evaluate
from finecap.evaluation.promotion import load_scores
from finecap.evaluation.results import EvaluationError, is_measured, read_evaluation
from finecap.log import silent
from finecap.metrics.ngram import score
from finecap.models.captioner import load_captioner
from finecap.models.clip import ClipEncoder
from finecap.models.decoding import caption_inputs
from finecap.models.features import extract, open_features
from finecap.models.folder import ModelFolderError
from finecap.models.grammar import GrammarNetwork, load_grammar_network
from finecap.models.transformer import TransformerCaptioner, TransformerShape

WORDS = WordTokenizer.build(["a red boat on the sea at night", "a photo depicts the blue house"])
CONFIG = EvaluationConfig(max_tokens=6, resamples=50, java_metrics=False)
DEFINED = {
    name for row in DEFINITIONS if row.group != definitions.FINECAPEVAL for name in row.names
}


def encoder(folder: Path, seed: int, dim: int = 16) -> Path:
    torch.manual_seed(seed)
    config = ClipConfig(
        embed_dim=dim, image_size=32, image_tower="vit", image_width=32, patch_size=16,
        text_width=32, text_layers=1, text_heads=2, context_length=16,
    )  # fmt: skip
    ClipEncoder(config, WORDS).save(folder)
    return folder


def grammar_network(folder: Path, bias: float = 0.0) -> Path:
    torch.manual_seed(4)
    network = GrammarNetwork(WORDS, "A photo depicts", 16, 8, 8)
    with torch.no_grad():
        network.head.layers[-1].bias.fill_(bias)  # type: ignore[union-attr, operator]
    network.save(folder)
    return folder


def captioner(folder: Path, channels: int) -> Path:
    torch.manual_seed(3)
    shape = TransformerShape(channels, 16, 2, 0, 1, 0.0, 6)
    TransformerCaptioner(shape, WORDS).save(folder)
    return folder


def facts(number: int) -> Facts:
    thing = {"name": "boat", "colour": ("red", "blue")[number % 2], "size": "large"}
    return {"background": "sea", "objects": [thing], "relations": [], "heldout": number > 5}


def drawn(folder: Path, *, with_facts: bool = True) -> list[Record]:
    (folder / "images").mkdir(parents=True)
    records = []
    for number in range(16):
        image = f"images/{number:02}.png"
        Image.new("RGB", (32, 32), (number * 16, 255 - number * 16, 90)).save(folder / image)
        captions = ("a red boat on the sea", "a boat at night")[: 1 + number % 2]
        split = ("val", "test")[number % 2]
        known = facts(number) if with_facts else None
        records.append(Record(image, split, captions, facts=known))
    return records


class Bench:
    """Paths of one tiny pipeline up to evaluation."""

    def __init__(self, root: Path, *, with_facts: bool = True) -> None:
        self.root, self.folder = root, root / "data"
        self.records = drawn(self.folder, with_facts=with_facts)
        self.clip, self.judge = encoder(root / "clip", 1), encoder(root / "judge", 2)
        self.features = root / "features"
        self.features.mkdir()
        extract(self.folder, self.records, self.clip, FeaturesConfig(), self.features, silent)
        channels = open_features(self.features).grid.shape[-1]
        self.captioner = captioner(root / "captioner", channels)

    def run(self, name: str = "evaluation", **options: Path):
        destination = self.root / name
        destination.mkdir(exist_ok=True)
        paths = {"captioner": self.captioner, "clip": self.clip, "judge": self.judge} | options
        return evaluate(
            features=self.features, folder=self.folder, records=self.records,
            config=CONFIG, destination=destination, log=silent, **paths,
        )  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def evaluated(bench: Bench):
    return bench.run()


def test_both_splits_hold_every_metric_with_interval_or_reason(bench: Bench, evaluated):
    content = json.loads((bench.root / "evaluation" / "evaluation.json").read_text())
    for split in ("val", "test"):
        assert set(content[split]) == DEFINED
        for name, metric in content[split].items():
            if metric["value"] is None:
                assert set(metric) == {"value", "reason"}
            else:
                assert set(metric) == {"value", "ci_low", "ci_high", "n"}
                assert metric["ci_low"] <= metric["value"] + 1e-9, name
                assert metric["value"] <= metric["ci_high"] + 1e-9, name
                assert 1 <= metric["n"] <= 8
    assert set(evaluated.values("val")) >= {"judge_t2i_r1", "cider", "clip_s"}


def test_captions_are_the_greedy_ones_of_val_and_test(bench: Bench, evaluated):
    seen = open_features(bench.features)
    rows = evaluated.captions
    assert rows["split"].tolist() == ["val"] * 8 + ["test"] * 8
    grid = seen.grid_of(seen.positions(rows["image"].tolist()))
    expected = caption_inputs(load_captioner(bench.captioner), grid, CONFIG.max_tokens)
    assert rows["caption"].tolist() == expected


def test_reference_metrics_equal_those_of_the_whole_split(bench: Bench, evaluated):
    rows = evaluated.captions[evaluated.captions["split"] == "test"]
    candidates = dict(zip(rows["image"], rows["caption"], strict=True))
    references = {r.image: r.captions for r in bench.records if r.split == "test"}
    for name, value in score(references, candidates).items():
        assert evaluated.values("test")[name] == pytest.approx(value), name


def test_means_equal_their_per_image_columns(evaluated):
    rows = evaluated.per_image[evaluated.per_image["split"] == "val"]
    for name in ("judge_t2i_r1", "clip_s", "repetition_rate", "grammatical_rate"):
        assert rows[name].mean() == pytest.approx(evaluated.values("val")[name])
    for name in ("judge_t2i", "i2t"):
        found = evaluated.metrics["val"][f"{name}_median_rank"]
        assert rows[f"{name}_rank"].median() == found["value"]


def test_judge_and_base_score_with_their_own_vectors(bench: Bench, evaluated):
    same = bench.run("by_base", judge=bench.clip)
    values = same.values("test")
    # The cached vectors went through half-precision nowhere: both ways agree.
    assert values["judge_clip_s"] == pytest.approx(values["clip_s"], abs=1e-5)
    assert evaluated.values("test")["judge_clip_s"] != pytest.approx(values["clip_s"], abs=1e-5)


@pytest.mark.usefixtures("evaluated")
def test_evaluating_twice_gives_the_same_bytes(bench: Bench):
    bench.run("again")
    first, second = (bench.root / n / "evaluation.json" for n in ("evaluation", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_what_is_written_reads_back_and_feeds_a_decision(bench: Bench, evaluated):
    folder = bench.root / "evaluation"
    read = read_evaluation(folder)
    assert read.metrics == evaluated.metrics
    pd.testing.assert_frame_equal(read.per_image, evaluated.per_image, check_dtype=False)
    loaded = load_scores(folder, "v1", "mle")
    assert loaded.facts
    assert len(loaded.images) == len(loaded.per_image["judge_t2i_r1"]) == 8
    names = {"captions.parquet", "evaluation.json", "per_image.parquet", "samples.png"}
    assert {path.name for path in folder.iterdir()} == names


def test_vectors_that_all_captioners_share_are_computed_once_when_a_cache_is_given(
    bench: Bench, evaluated
):
    cache = bench.root / "cache"
    bench.run("cached", judge_cache=cache)
    kept = {path.stem: path for path in cache.iterdir()}
    # Of each split the judge's images, and references by both encoders.
    assert len(kept) == 6
    assert set(evaluated.yardstick.values()) < set(kept)
    for path in kept.values():  # a wrong vector in the cache must show, or it was not read
        np.save(path, -np.load(path))
    altered = bench.run("cached", judge_cache=cache)
    for name in ("judge_clip_s", "ref_clip_s"):
        assert altered.values("test")[name] != evaluated.values("test")[name], name


def test_cached_vectors_are_read_by_the_encoder_that_made_them_alone(bench: Bench, evaluated):
    cache = bench.root / "shared"
    bench.run("filled", judge_cache=cache)
    swapped = bench.run("swapped", clip=bench.clip, judge=bench.clip, judge_cache=cache)
    values = swapped.values("test")
    assert values["judge_ref_clip_s"] == pytest.approx(values["ref_clip_s"], abs=1e-5)
    assert values["ref_clip_s"] == evaluated.values("test")["ref_clip_s"]


def test_yardstick_changes_with_the_judge_and_with_an_image(tmp_path: Path):
    bench = Bench(tmp_path)
    before = bench.run().yardstick
    assert bench.run(captioner=bench.captioner).yardstick == before
    assert bench.run(judge=encoder(tmp_path / "other", 5)).yardstick["val"] != before["val"]
    Image.new("RGB", (32, 32)).save(bench.folder / "images" / "00.png")  # a val image
    after = bench.run().yardstick
    assert (after["val"] != before["val"], after["test"] == before["test"]) == (True, True)


def test_data_without_facts_has_no_fine_grained_score_and_says_why(tmp_path: Path):
    found = Bench(tmp_path, with_facts=False).run()
    assert not found.facts
    for name in ("grammatical_rate", "background_recall"):
        assert found.metrics["val"][name] == {
            "value": None,
            "reason": "not defined on this data: its records have no `facts`",
        }


def test_partly_missing_facts_are_a_fault_and_not_a_property_of_the_data(tmp_path: Path):
    bench = Bench(tmp_path)
    bench.records[0] = Record(bench.records[0].image, "val", bench.records[0].captions)
    reason = bench.run().metrics["val"]["grammatical_rate"]
    assert reason == {"value": None, "reason": "not computed: only 7 of 8 images have `facts`"}


def test_metrics_that_need_what_is_not_there_are_null_with_a_reason(evaluated):
    metrics = evaluated.metrics["test"]
    for name in ("meteor", "spice"):
        assert metrics[name]["value"] is None
        assert metrics[name]["reason"].startswith("not computed: switched off")
    assert metrics["relation_recall"]["value"] is None  # one object each: no relation to tell
    assert "no grammar network" in metrics["grammar_head_rate"]["reason"]


def test_grammar_head_rates_are_measured_where_a_network_is_given(bench: Bench):
    head = grammar_network(bench.root / "head")
    found = bench.run("with_head", grammar_head=head)
    assert is_measured(found.metrics["val"]["grammar_head_rate"])
    assert found.yardstick != bench.run("without_head").yardstick
    network = load_grammar_network(head)
    rows = found.per_image[found.per_image["split"] == "val"].set_index("image")
    for record in bench.records:
        if record.split == "val":
            accepted = network.grammar_scores(record.captions) >= 0.5
            rate = rows.loc[record.image, "grammar_head_rate_references"]
            assert rate == accepted.double().mean().item()


def test_a_network_that_accepts_everything_gives_captions_and_references_one(bench: Bench):
    head = grammar_network(bench.root / "kind", bias=50.0)
    values = bench.run("with_kind", grammar_head=head).values("test")
    assert (values["grammar_head_rate"], values["grammar_head_rate_references"]) == (1, 1)


def test_missing_judge_is_an_error_and_leaves_no_evaluation(bench: Bench):
    with pytest.raises(ModelFolderError, match="nowhere"):
        bench.run("failed", judge=bench.root / "nowhere")
    assert not list((bench.root / "failed").iterdir())


def test_features_by_an_encoder_of_another_width_are_refused(bench: Bench):
    other = encoder(bench.root / "wide", 6, dim=24)
    with pytest.raises(EvaluationError, match="image vectors of length 16"):
        bench.run("failed", clip=other)


def test_data_without_a_val_split_is_refused(bench: Bench, tmp_path: Path):
    records = [r for r in bench.records if r.split == "test"]
    with pytest.raises(EvaluationError, match="no images of split val"):
        evaluate(
            bench.captioner, bench.features, bench.folder, records, bench.clip, bench.judge,
            CONFIG, tmp_path, silent,
        )  # fmt: skip
