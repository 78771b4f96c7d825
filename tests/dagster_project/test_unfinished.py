"""What is kept of training that has not ended: held by one process, cleared when it is finished."""

import os
import signal
from pathlib import Path

import pytest

from dagster_project.tracking import Tracker
from dagster_project.unfinished import _LIBRARY_LOCK, Unfinished, clear_finished, unfinished
from finecap.lock import InUseError, locked
from finecap.training.checkpoint import LOCK
from tests.dagster_project.holder import another_process

OWN, OTHER, THIRD = ("a" * 16, "b" * 16, "0123456789abcdef")


@pytest.fixture
def asset(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "scst" / "clip_s"


def put(folder: Path, size: int = 1_500_000) -> Path:
    """A version's checkpoint."""
    (folder / "step-00000003").mkdir(parents=True)
    (folder / "step-00000003" / "state.safetensors").write_bytes(b"0" * size)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_library_and_project_mean_the_same_file():
    assert _LIBRARY_LOCK == LOCK


def test_the_second_process_is_refused_and_a_killed_one_holds_nothing(asset: Path):
    folder = put(asset / OWN)
    with another_process(folder) as holder:
        match = f"training in {folder} is in use by process {holder.pid} on .*; it will go on"
        with pytest.raises(InUseError, match=match), unfinished(folder):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with unfinished(folder):
            assert names(asset) == {OWN, f"{OWN}.lock"}
    assert names(asset) == {OWN}


def test_a_process_that_outlives_the_asset_by_a_step_keeps_the_next_out(asset: Path):
    """As `torchrun`'s do when the asset is killed; the reward encoder trains in folders of it."""
    folder = put(asset / OWN)
    refusal = pytest.raises(InUseError, match=f"is in use by process {os.getpid()} on")
    with locked(folder / "head" / LOCK, "head"), refusal, unfinished(folder):
        pass
    with unfinished(folder):
        pass


def test_the_run_is_noted_and_found_by_the_next(asset: Path, tracker: Tracker):
    with unfinished(asset / OWN) as kept, tracker.child("x", {}, {}) as run:
        assert kept.run_id is None
        kept.report_to(run)
    with unfinished(asset / OWN) as again:
        assert again.run_id == run.run_id
    assert Unfinished(asset / OTHER).run_id is None


def test_emptied_of_attempts_it_knows_no_run_and_no_history(asset: Path, tracker: Tracker):
    with unfinished(put(asset / OWN)) as kept, tracker.child("x", {}, {}) as run:
        kept.report_to(run)
        kept.history.add({"step": 1.0, "loss": 0.5})
        kept.empty()
        assert (kept.run_id, kept.history.rows) == (None, [])
        assert kept.history.add({"step": 1.0, "loss": 0.5})
        assert names(asset / OWN) == {"history.jsonl"}


def test_a_finished_asset_clears_its_versions_but_no_other_assets_and_says_what_was_freed(
    asset: Path,
):
    put(asset / OWN, 500_000)
    put(asset / OTHER)
    neighbours = [put(asset.parent / "cider" / OTHER), put(asset / "nested" / OTHER)]
    with unfinished(asset / OWN) as kept:
        lines = list(kept.clear())
    assert lines == [
        "removed its checkpoints, 0.5 MB freed",
        f"removed the checkpoints of version {OTHER}, 1.5 MB freed",
    ]
    assert names(asset) == {"nested"}
    assert all(neighbour.is_dir() for neighbour in neighbours)


def test_a_version_that_another_process_makes_is_left(asset: Path):
    put(asset / THIRD)
    with another_process(put(asset / OTHER)) as holder:
        with unfinished(put(asset / OWN)) as kept:
            lines = list(kept.clear())
        assert lines[1].endswith(f"version {THIRD}, 1.5 MB freed")
        left = f"left the checkpoints of version {OTHER}: training in {asset / OTHER} is in use by"
        assert lines[2].startswith(f"{left} process {holder.pid}")
        assert names(asset) == {OTHER, f"{OTHER}.lock"}
        assert (asset / OTHER / "step-00000003").is_dir()


def test_the_lock_that_a_killed_process_left_without_a_folder_goes_too(asset: Path):
    with another_process(asset / OTHER) as holder:
        holder.kill()
        holder.wait()
    assert names(asset) == {f"{OTHER}.lock"}
    with unfinished(asset / OWN) as kept:
        assert len(list(kept.clear())) == 1
    assert names(asset) == set()


def test_what_is_left_of_a_finished_version_is_cleared_unless_it_is_made_anew(asset: Path):
    folder = put(asset / OWN)
    with another_process(folder):
        (line,) = clear_finished(folder)
        assert line.startswith("left its checkpoints: training in")
        assert folder.is_dir()
    assert list(clear_finished(folder)) == ["removed its checkpoints, 1.5 MB freed"]
    assert list(clear_finished(folder)) == []
    assert names(asset) == set()
