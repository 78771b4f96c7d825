import multiprocessing
import os
from pathlib import Path

import pytest

from finecap.search.files import exclusive, export_digest, replace_text


def test_replacing_leaves_one_whole_file(tmp_path):
    path = tmp_path / "live.json"
    replace_text(path, "old")
    replace_text(path, "new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["live.json"]


def _append(folder: Path) -> None:
    with exclusive(folder / ".lock"):
        count = int((folder / "count").read_text())
        os.sched_yield()
        (folder / "count").write_text(str(count + 1))


def test_the_lock_lets_one_process_in_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_append, args=(tmp_path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "count").read_text() == "4"


def test_a_digest_sees_bytes_and_names(tmp_path):
    (tmp_path / "a").write_text("1")
    first = export_digest(tmp_path)
    (tmp_path / "a").write_text("2")
    second = export_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, export_digest(tmp_path)}) == 3


def test_an_export_that_is_missing_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist or is empty"):
        export_digest(tmp_path / "none")
