"""`finecap export` as a person runs it."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finecap import cli
from finecap.search.index import Manifest, ModelReference, Row
from finecap.search.lance import LanceIndex

CAPTIONS = ("a red boat", "a blue tree")


@pytest.fixture
def export(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[object, str, str]]:
    """export(*arguments): exit code, stdout, stderr; two captioned images lie in `data`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FINECAP_HOME", raising=False)
    (tmp_path / "data").mkdir()
    model = ModelReference(name="m", version="1", path="models")
    settings = {"data_md5": "d", "dims": 2, "rows": 2, "created_at": "2026"}
    index = LanceIndex(tmp_path / "var" / "index")
    index.create(
        Manifest.model_validate(
            {"build_id": "one", "captioner": model, "encoder": model} | settings
        )
    )
    rows = []
    for i, caption in enumerate(CAPTIONS):
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / f"{i}.jpg")
        vector = np.eye(2, dtype=np.float32)[i]
        rows.append(Row(f"{i}.jpg", f"data/{i}.jpg", caption, vector, split="val"))
    index.upsert("one", rows)
    index.finish("one", lambda _: 1.0)
    index.promote("one", expect=None)

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["finecap", "export", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


def test_the_index_becomes_a_table(export: Callable[..., tuple[object, str, str]]):
    code, out, _ = export("index.csv")
    assert (code, out) == (0, "index.csv: 2 images of build one\n")
    assert list(pd.read_csv("index.csv")["caption"]) == list(CAPTIONS)


def test_captions_go_into_copies(export: Callable[..., tuple[object, str, str]]):
    Path("data/1.jpg").write_bytes(b"broken")
    code, out, err = export("copies", "--embed-captions")
    assert (code, out) == (0, "copies: 1 images with their captions, 1 skipped\n")
    assert "1.jpg skipped: it is neither JPEG, PNG, WebP, TIFF nor GIF" in err
    with Image.open("copies/0.jpg") as copy:
        assert copy.getexif()[0x010E] == "a red boat"


def test_a_wrong_ending_is_a_wrong_question(export: Callable[..., tuple[object, str, str]]):
    code, _, err = export("index.xlsx")
    assert code == 2
    assert "expected one of .json, .jsonl, .csv, .parquet" in err


def test_options_that_do_not_go_together_are_refused(
    export: Callable[..., tuple[object, str, str]],
):
    code, _, err = export("folder", "--captions", "said.json")
    assert code == 2
    assert "it goes with --data" in err
    code, _, err = export("folder", "--data", "photos", "--embed-captions")
    assert code == 2
    assert "it is of the index, not of --data" in err
