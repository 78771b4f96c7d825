"""`finecap score` as a person calls it: files in, scores on stdout, what was left out on stderr."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from finecap import cli

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CAPTIONS: dict[str, str] = json.loads((GOLDEN / "finecapeval.json").read_text())["captions"]
FEW = ("--resamples", "20", "--no-java")
Finecap = Callable[..., tuple[int, str, str]]


@pytest.fixture
def finecap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Finecap:
    """finecap(*arguments) scores `results.json` in `tmp_path`: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    rows = [{"image_id": image, "caption": caption} for image, caption in CAPTIONS.items()]
    Path("results.json").write_text(json.dumps([*rows, {"image_id": 7, "caption": "a dog"}]))
    annotations = [{"image_id": 7, "caption": "a dog"}, {"image_id": 8, "caption": "a cat"}]
    Path("references.json").write_text(json.dumps({"annotations": annotations}))
    Path("one.json").write_text(json.dumps({"7": "a dog runs"}))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["finecap", "score", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, said.err

    return run


def test_json_holds_every_metric_with_interval_or_reason(finecap: Finecap):
    code, out, err = finecap(
        "results.json", "--finecapeval", GOLDEN / "finecapeval.csv", "--json", *FEW
    )
    found = json.loads(out)
    assert code == 0
    assert found["images"] == 6
    assert found["references"] == f"{GOLDEN / 'finecapeval.csv'}, column caption"
    metric = found["metrics"]["finecapeval_object_published"]
    assert metric["value"] == pytest.approx(0.508333, abs=1e-6)
    assert set(metric) == {"value", "ci_low", "ci_high", "n"}
    assert set(found["metrics"]["finecapeval_f1"]) == {"value", "ci_low", "ci_high", "n"}
    assert "1 captions of images without annotations left out" in err


def test_table_names_scores_and_what_is_missing(finecap: Finecap):
    code, out, err = finecap("one.json", "--references", "references.json", *FEW)
    assert code == 0
    assert "one.json against references.json, 1 images, 95% intervals" in out
    assert "  BLEU-1 " in out
    assert "  bad endings " in out
    assert (
        "By FineCapEval's annotations: not computed: no FineCapEval annotations were given" in out
    )
    assert "1 images with references have no caption, left out" in err


def test_captions_alone_will_do(finecap: Finecap):
    code, out, err = finecap("one.json", *FEW)
    assert (code, err) == (0, "")
    assert "  words " in out
    assert "By the references: not computed: no references were given" in out


def test_scores_image_by_image_are_written(finecap: Finecap):
    finecap("one.json", "--references", "references.json", "--per-image", "rows.csv", *FEW)
    (row,) = pd.read_csv("rows.csv").to_dict("records")
    assert (row["image"], row["mean_length"]) == (7, 3)
    assert 0 < row["rouge_l"] < 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere.json",), 2, "nowhere.json does not exist"),
        (("references.json",), 1, "references.json: annotations: caption is"),
        (("results.json", "--references", "references.json"), 1, "6 of 7 scored images have no"),
        (("one.json", "--finecapeval", "results.json"), 1, "results.json: no column image"),
        (("one.json", "--finecapeval", GOLDEN / "finecapeval.csv"), 1, "6 of 6 annotated images"),
    ],
)
def test_what_does_not_fit_is_one_line_on_stderr(
    finecap: Finecap, arguments: tuple[str, ...], code: int, message: str
):
    stopped, out, err = finecap(*arguments)
    assert (stopped, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_meteor_is_among_the_scores_where_java_is(finecap: Finecap):
    code, out, _ = finecap("one.json", "--references", "references.json", "--resamples", "20")
    assert code == 0
    assert "  METEOR " in out
    assert "SPICE: not computed: needs Stanford CoreNLP" in out or "  SPICE " in out
