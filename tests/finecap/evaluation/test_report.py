"""The leaderboard from hand-made evaluations: what each file says, and what it refuses."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from finecap.data.records import Record, write_records
from finecap.evaluation.report import write_leaderboard
from finecap.evaluation.results import (
    Evaluation,
    EvaluationError,
    Metric,
    not_computed,
    write_evaluation,
)

IMAGES = [f"images/{i:02}.png" for i in range(15)]
R1 = {"mle": 0.02, "cider": 0.02, "clip_s": 0.61, "mle_alt_text": 0.3, "clip_s_grammar": 0.55}
FILES = {
    "leaderboard.json",
    "leaderboard.md",
    "leaderboard.png",
    "leaderboard.html",
    "contact_sheet.png",
}


def measured(value: float) -> Metric:
    return {"value": value, "ci_low": value - 0.01, "ci_high": value + 0.01, "n": 15}


def metrics(r1: float) -> dict[str, Metric]:
    return {
        "judge_t2i_r1": measured(r1),
        "repetition_rate": measured(r1 / 10),
        "grammatical_rate": measured(1 - r1 / 5),
        "mean_length": measured(11.4),
        "vocabulary": measured(140.0),
        "meteor": not_computed("needs Java METEOR"),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for number, image in enumerate(IMAGES):
        Image.new("RGB", (96, 96), (number * 16, 99, 160)).save(data / image)
    records = [Record(image, "test", ("a <boat> at sea",)) for image in IMAGES]
    write_records(data / "captions.jsonl", records)
    return data


@pytest.fixture
def evaluations(tmp_path: Path) -> dict[str, Path]:
    return {variant: written(tmp_path, variant, r1) for variant, r1 in R1.items()}


def written(tmp_path: Path, variant: str, r1: float, yardstick: str = "today") -> Path:
    destination = tmp_path / "evaluations" / variant
    destination.mkdir(parents=True, exist_ok=True)
    texts = [f"a boat {variant} <b>" for _ in IMAGES]
    captions = pd.DataFrame({"image": IMAGES, "split": "test", "caption": texts})
    per_image = pd.DataFrame({"image": IMAGES, "split": "test", "judge_t2i_r1": 0.0})
    splits = {"val": metrics(r1 / 2), "test": metrics(r1)}
    yardsticks = {"val": yardstick, "test": yardstick}
    write_evaluation(Evaluation(splits, captions, per_image, yardsticks, True), destination)
    return destination


@pytest.fixture
def board(tmp_path: Path, folder: Path, evaluations: dict[str, Path]) -> Path:
    destination = tmp_path / "reports"
    destination.mkdir()
    write_leaderboard(evaluations, folder, destination, profile="scenes", data_md5="abc")
    return destination


def test_all_files_are_written_and_nothing_half_written_stays(board: Path):
    assert {path.name for path in board.iterdir()} == FILES
    for name in ("leaderboard.png", "contact_sheet.png"):
        Image.open(board / name).verify()


def test_json_holds_test_under_variants_and_val_beside_it(board: Path):
    content = json.loads((board / "leaderboard.json").read_text())
    assert set(content) == {"profile", "data_md5", "variants", "val"}
    assert (content["profile"], content["data_md5"]) == ("scenes", "abc")
    order = ["mle", "cider", "clip_s", "clip_s_grammar", "mle_alt_text"]
    assert list(content["variants"]) == list(content["val"]) == order
    assert set(content["variants"]["clip_s"]["judge_t2i_r1"]) == {"value", "ci_low", "ci_high", "n"}
    assert content["variants"]["clip_s"]["judge_t2i_r1"]["value"] == 0.61
    assert content["val"]["clip_s"]["judge_t2i_r1"]["value"] == 0.305
    assert content["variants"]["mle"]["meteor"]["value"] is None


def test_markdown_sets_the_best_in_bold_and_says_why_a_metric_is_missing(board: Path):
    text = (board / "leaderboard.md").read_text()
    assert "| `clip_s` | **0.610** [0.600, 0.620] |" in text
    assert "| `mle` | **0.996** [0.986, 1.006] | **0.002** [-0.008, 0.012] |" in text
    assert "* METEOR: not computed: needs Java METEOR" in text
    assert "**11.4**" not in text  # no length is best


class Addresses(HTMLParser):
    """Every address that opening the page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_page_opens_offline_and_shows_captions_as_text(board: Path):
    page = (board / "leaderboard.html").read_text()
    parser = Addresses()
    parser.feed(page)
    assert len(parser.found) == 13
    assert all(address.startswith("data:image/") for address in parser.found)
    assert "://" not in page
    assert "a boat <mark>clip_s</mark> &lt;b&gt;" in page


def test_evaluations_by_different_judges_do_not_stand_in_one_table(
    tmp_path: Path, folder: Path, evaluations: dict[str, Path]
):
    evaluations["cider"] = written(tmp_path, "cider", 0.1, yardstick="other judge")
    with pytest.raises(EvaluationError, match="cider and mle were scored on different data"):
        write_leaderboard(evaluations, folder, tmp_path, profile="scenes", data_md5="abc")
    assert not (tmp_path / "leaderboard.json").exists()


def test_partial_evaluation_is_refused_by_name(
    tmp_path: Path, folder: Path, evaluations: dict[str, Path]
):
    (evaluations["cider"] / "per_image.parquet").unlink()
    with pytest.raises(EvaluationError, match=r"cider: partial evaluation, lacks per_image"):
        write_leaderboard(evaluations, folder, tmp_path, profile="scenes", data_md5="abc")


def test_no_evaluation_at_all_is_refused(tmp_path: Path, folder: Path):
    with pytest.raises(EvaluationError, match="at least one evaluation"):
        write_leaderboard({}, folder, tmp_path, profile="scenes", data_md5="abc")


def test_data_without_the_captioned_images_is_refused(
    tmp_path: Path, folder: Path, evaluations: dict[str, Path]
):
    write_records(folder / "captions.jsonl", [Record("images/x.png", "test", ("a dog",))])
    with pytest.raises(EvaluationError, match="no test image that was captioned"):
        write_leaderboard(evaluations, folder, tmp_path, profile="scenes", data_md5="abc")
