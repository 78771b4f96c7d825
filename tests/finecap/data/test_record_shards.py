"""Records in Parquet: the same as in lines, some rows at a time, and bad rows named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finecap.config import ImportConfig, ValidationConfig
from finecap.data import record_shards
from finecap.data.caption_files import read_references
from finecap.data.coco_export import export_coco
from finecap.data.expectations import validate
from finecap.data.importers import import_dataset
from finecap.data.record_shards import write_shards
from finecap.data.records import (
    Record,
    RecordError,
    read_records,
    records_in,
    scan_records,
    write_records,
)
from finecap.log import silent
from tests.finecap.data.test_records import FACTS, GOOD

RECORDS = [
    Record("images/1.png", "train", ("a boat", "ein Schiff \u00e9"), part="clip"),
    Record("images/2.png", "val", ("a tree",), alt_text="a green tree"),
    Record("images/3.png", "test", ("a red boat",), facts={**FACTS, "relations": []}),
]


def shard(folder, number, **columns):
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    return folder


def test_records_survive_a_round_trip(tmp_path):
    write_shards(tmp_path / "captions", RECORDS)
    assert read_records(tmp_path / "captions") == RECORDS
    assert [path.name for path in tmp_path.iterdir()] == ["captions"]


def test_many_become_several_shards_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(record_shards, "_BATCH", 2)
    monkeypatch.setattr(record_shards, "_SHARD", 4)
    many = [Record(f"images/{n}.png", "train", ("a boat",)) for n in range(11)]
    write_shards(tmp_path / "captions", many)
    assert sorted(path.name for path in (tmp_path / "captions").iterdir()) == [
        "00000.parquet", "00001.parquet", "00002.parquet"
    ]  # fmt: skip
    assert read_records(tmp_path / "captions") == many
    write_shards(tmp_path / "captions", RECORDS)
    assert read_records(tmp_path / "captions") == RECORDS


def test_shards_that_others_wrote_need_no_optional_column(tmp_path):
    folder = shard(tmp_path / "c", 1, image=["b.png"], split=["val"], captions=[["a", "b"]])
    shard(folder, 0, image=["a.png"], split=["train"], captions=[["a cat"]], alt_text=[None])
    first, second = read_records(folder)
    assert (first.image, second.captions) == ("a.png", ("a", "b"))


def test_rows_are_counted_through_all_shards_and_bad_ones_named(tmp_path):
    folder = shard(tmp_path / "c", 0, image=["a.png"] * 2, split=["val"] * 2, captions=[["a"]] * 2)
    two, none = [["a"], []], [None, "d.png"]
    shard(folder, 1, image=none, split=["dev", "val"], captions=two, facts=["{", "{"])
    rows, problems = scan_records(folder)
    assert [line for line, _ in rows] == [1]
    assert [(it.line, it.image, it.reason) for it in problems] == [
        (2, "a.png", '"image" a.png is already on line 1'),
        (3, "", '"image" is null, expected a path such as images/000001.png'),
        (4, "d.png", '"captions" is empty, expected at least one sentence'),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["a"], "split": ["val"]}, r"0\.parquet has no column captions"),
        ({**{k: [v] for k, v in GOOD.items()}, "caption": ["a"]}, "unknown column caption, expect"),
        ({**{k: [v] for k, v in GOOD.items()}, "facts": ["{"]}, '"facts" expects the fields'),
    ],
)
def test_other_columns_are_refused(tmp_path, columns, message):
    with pytest.raises(RecordError, match=message):
        read_records(shard(tmp_path / "c", 0, **columns))


def test_what_is_no_parquet_or_no_shard_at_all_is_refused(tmp_path):
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \*\.parquet, expected shards"):
        read_records(tmp_path / "c")
    (tmp_path / "c" / "0.parquet").write_bytes(b"none")
    with pytest.raises(RecordError, match=r"0\.parquet is no Parquet file"):
        read_records(tmp_path / "c")


def test_a_data_folder_has_its_records_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"captions\.jsonl does not exist.*or Parquet"):
        records_in(tmp_path)
    write_shards(tmp_path / "captions", RECORDS)
    assert records_in(tmp_path) == tmp_path / "captions"
    write_records(tmp_path / "captions.jsonl", RECORDS)
    with pytest.raises(RecordError, match=r"both captions\.jsonl and captions/"):
        records_in(tmp_path)


def test_an_import_writes_shards_when_asked_and_all_else_reads_them(data, tmp_path):
    data.write()
    config = ImportConfig(parquet=True)
    for again in (False, True):
        source = data.folder / "captions.jsonl"
        report = import_dataset("jsonl", source, tmp_path / "in", silent, config)
        assert report.unchanged is again
    assert not (tmp_path / "in" / "captions.jsonl").exists()
    plain = import_dataset("jsonl", source, tmp_path / "plain", silent)
    assert read_records(records_in(report.folder)) == read_records(records_in(plain.folder))
    for number, folder in enumerate((report.folder, plain.folder)):
        validate(folder, ValidationConfig(), tmp_path / f"verdict-{number}", silent)
        export_coco(folder, tmp_path / f"coco-{number}", None)
    for name in (
        "verdict-{}/records.jsonl",
        "verdict-{}/results.json",
        "coco-{}/captions_val.json",
    ):
        first, second = ((tmp_path / name.format(it)).read_text() for it in (0, 1))
        assert first == second
    references = read_references(tmp_path / "in" / "captions")
    assert references == read_references(tmp_path / "plain" / "captions.jsonl")
    assert json.loads((report.folder / "import.json").read_text())["images"] == 12
