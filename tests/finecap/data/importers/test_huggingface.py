"""Folders as `datasets` saves them, made with pyarrow byte for byte as that package does."""

import json

import pyarrow as pa
import pytest

from finecap.data.importers import DatasetImportError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def save(folder, rows, shards=1):
    """`Dataset.save_to_disk`: Arrow streams, `state.json`, `dataset_info.json`."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05}-of-{shards:05}.arrow" for n in range(shards)]
    for n, name in enumerate(names):
        part = rows[n::shards]
        columns = {
            "image": pa.array([{"bytes": b, "path": p} for b, p, _ in part], IMAGE),
            "caption": pa.array([said for *_, said in part]),
            "img_id": pa.array(range(len(part)), pa.int32()),
        }
        table = pa.table(columns)
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as w,
        ):
            w.write_table(table, max_chunksize=2)
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "a9bd",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state))
    features = {"image": {"_type": "Image"}, "caption": {"dtype": "string", "_type": "Value"}}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


@pytest.fixture
def content(tmp_path, photo):
    """content(seed) is the bytes of a picture."""
    return lambda seed: photo(tmp_path / "made" / f"{seed}.png", seed).read_bytes()


def test_a_data_set_of_splits(tmp_path, content, bring):
    folder = tmp_path / "saved"
    for seed, split in enumerate(("train", "validation", "test")):
        rows = [(content(10 * seed + n), f"{n}.png", [f"a boat {n}", "the sea"]) for n in range(3)]
        save(folder / split, rows, shards=2)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    brought = bring("huggingface", folder)
    assert brought.report.by_split == {"train": 3, "val": 3, "test": 3}
    assert brought.captions["images/validation/2.png"] == ("a boat 2", "the sea")
    assert brought.faults == []


def test_a_row_per_caption_and_images_without_a_name(tmp_path, content, bring):
    rows = [(content(n // 2), None, f"said {n}") for n in range(8)]
    brought = bring("huggingface", save(tmp_path / "saved", rows))
    assert [record.captions for record in brought.records][1] == ("said 2", "said 3")
    assert brought.report.images == 4
    assert "the source has none" in brought.report.splits


def test_images_that_all_have_one_name_are_told_apart(tmp_path, content, bring):
    rows = [(content(n), "image.png", f"said {n}") for n in range(4)]
    brought = bring("huggingface", save(tmp_path / "saved", rows))
    assert len({record.image for record in brought.records}) == 4


def test_images_by_path_lie_below_the_folder(tmp_path, photo, bring):
    folder = save(tmp_path / "saved", [(None, "photos/1.png", "a boat")])
    photo(folder / "photos" / "1.png", 1)
    assert list(bring("huggingface", folder).captions) == ["images/photos/1.png"]


def test_a_folder_that_was_not_saved_whole_is_refused(tmp_path, content, bring):
    folder = save(tmp_path / "saved", [(content(1), None, "a boat")])
    state = json.loads((folder / "state.json").read_text())
    indices = state | {"_indices_data_files": [{"filename": "indices.arrow"}]}
    (folder / "state.json").write_text(json.dumps(indices))
    with pytest.raises(DatasetImportError, match=r"call `flatten_indices\(\)` before"):
        bring("huggingface", folder)
    (folder / "state.json").write_text(json.dumps(state))
    arrow = next(folder.glob("*.arrow"))
    arrow.write_bytes(b"\x10\x00\x00\x00nothing")
    with pytest.raises(DatasetImportError, match=r"\.arrow: .*is the copy whole"):
        bring("huggingface", folder)
    arrow.unlink()
    with pytest.raises(FileNotFoundError, match=r"arrow does not exist, though .*state\.json"):
        bring("huggingface", folder)
    (folder / "state.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected a folder that `save_to_disk` wrote"):
        bring("huggingface", folder)


def test_splits_of_unknown_names_are_refused(tmp_path, content, bring):
    folder = tmp_path / "saved"
    save(folder / "train", [(content(1), None, "a boat")])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "holdout"]}')
    with pytest.raises(DatasetImportError, match="split 'holdout' is none of train"):
        bring("huggingface", folder)
    (folder / "dataset_dict.json").write_text("[]")
    with pytest.raises(DatasetImportError, match=r'expected \{"splits"'):
        bring("huggingface", folder)
