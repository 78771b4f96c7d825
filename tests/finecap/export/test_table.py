"""A build's rows in each format, all of them, in image order."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finecap.export.table import ExportError, all_rows, write_table
from finecap.search.index import Manifest, ModelReference, Row, StoredCaption
from finecap.search.lance import LanceIndex

CAPTIONS = ("a red boat", "a blue tree", 'a "cat", 1 < 2')


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Row]:
    index = LanceIndex(tmp_path_factory.mktemp("index"))
    model = ModelReference(name="m", version="1", path="m")
    manifest = Manifest(
        build_id="one", captioner=model, encoder=model, data_md5="d", dims=2, rows=3,
        created_at="2026",
    )  # fmt: skip
    index.create(manifest)
    vector = np.eye(2, dtype=np.float32)[0]
    said = (StoredCaption("a person's words", "human"),)
    index.upsert(
        "one",
        [
            Row(f"{2 - i}.png", f"d/{2 - i}.png", caption, vector, {"colour": ["red", "blue"]},
                "val", "1", "mle", said)
            for i, caption in enumerate(CAPTIONS)
        ],
    )  # fmt: skip
    index.finish("one", lambda _: 1.0)
    return list(all_rows(index, manifest))


def test_all_rows_come_in_image_order(rows: Sequence[Row]):
    assert [row.caption for row in rows] == list(reversed(CAPTIONS))


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_every_format_reads_back(rows: Sequence[Row], tmp_path: Path, suffix: str):
    file = tmp_path / "new" / f"index{suffix}"
    assert write_table(iter(rows), file) == 3
    read = {
        ".json": pd.read_json,
        ".jsonl": lambda f: pd.read_json(f, lines=True),
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
    }[suffix](file)
    assert list(read["caption"]) == list(reversed(CAPTIONS))
    colours = read["colour"].iloc[0]
    assert (colours.split(";") if suffix == ".csv" else list(colours)) == ["red", "blue"]
    said = read["captions"].iloc[0]
    said = json.loads(said) if suffix == ".csv" else list(said)
    assert [stored["source"] for stored in said] == ["model", "human"]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_an_unknown_ending_is_refused(rows: Sequence[Row], tmp_path: Path):
    with pytest.raises(ExportError, match=r"ends in '.xlsx', expected one of .json, .jsonl"):
        write_table(iter(rows), tmp_path / "index.xlsx")
