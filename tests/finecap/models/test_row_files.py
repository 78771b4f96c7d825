"""Arrays that grow: equal to numpy's own files, good up to the last commit, of one key."""

import json
from pathlib import Path

import numpy as np
import pytest

from finecap.models.folder import ModelFolderError
from finecap.models.row_files import PROGRESS, RowFiles

ROWS = np.arange(40, dtype=np.float32).reshape(10, 2, 2)
LABELS = np.arange(10, dtype=np.uint8)


def grow(folder: Path, *ends: int, key: str = "k", commit: bool = True) -> RowFiles:
    """Append up to each end, safe at the last one."""
    with RowFiles(folder, key, len(ROWS)) as files:
        for end in ends:
            start = files.written
            files.append({"rows": ROWS[start:end], "labels": LABELS[start:end]})
        if commit:
            files.commit()
    return files


def whole(folder: Path) -> bool:
    """Whether all rows are there, in files that hold nothing else."""
    np.save(folder.parent / "rows.npy", ROWS)
    is_equal = (folder / "rows.npy").read_bytes() == (folder.parent / "rows.npy").read_bytes()
    return is_equal and np.array_equal(np.load(folder / "labels.npy"), LABELS)


def test_files_are_those_that_numpy_writes(tmp_path: Path) -> None:
    grow(tmp_path / "a", 3, 4, 10)
    assert whole(tmp_path / "a")


def test_what_was_safe_is_gone_on_from(tmp_path: Path) -> None:
    assert grow(tmp_path / "a", 4).done == 4
    assert RowFiles(tmp_path / "a", "k", 10).done == 4
    assert grow(tmp_path / "a", 7, 10).done == 10
    assert whole(tmp_path / "a")


def test_rows_after_the_last_commit_are_cut_off(tmp_path: Path) -> None:
    grow(tmp_path / "a", 4)
    grow(tmp_path / "a", 9, commit=False)
    with (tmp_path / "a" / "labels.npy").open("ab") as torn:
        torn.write(b"torn")
    assert RowFiles(tmp_path / "a", "k", 10).done == 4
    grow(tmp_path / "a", 10)
    assert whole(tmp_path / "a")


def test_another_key_begins_anew(tmp_path: Path) -> None:
    grow(tmp_path / "a", 4, key="other")
    files = RowFiles(tmp_path / "a", "k", 10)
    assert (files.done, (tmp_path / "a" / PROGRESS).exists()) == (0, False)
    grow(tmp_path / "a", 10)
    assert whole(tmp_path / "a")


def test_fewer_rows_than_were_safe_are_refused(tmp_path: Path) -> None:
    grow(tmp_path / "a", 4)
    path = tmp_path / "a" / "labels.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFolderError, match=r"labels\.npy has 131 bytes, expected 132 of 4"):
        grow(tmp_path / "a", 10)


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    files = RowFiles(tmp_path / "a", "k", 10)
    with pytest.raises(ValueError, match=r"arrays of \[1, 2\] rows"):
        files.append({"rows": ROWS[:1], "labels": LABELS[:2]})


def test_progress_names_key_and_rows(tmp_path: Path) -> None:
    grow(tmp_path / "a", 4)
    assert json.loads((tmp_path / "a" / PROGRESS).read_text()) == {"key": "k", "rows": 4}
