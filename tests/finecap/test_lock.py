"""A lock lets one run in at a time, says who is there, and dies with its process."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from finecap import lock
from finecap.lock import InUseError, is_locked, locked
from tests import held


def another_process(file: Path) -> "AbstractContextManager[subprocess.Popen[str]]":
    """A process that holds the lock, until it is killed."""
    return held.another_process("finecap.lock", "locked", file, ', "checkpoints"')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "version" / "lock"


def test_the_second_is_refused_with_who_holds_it_and_what_to_do(file: Path) -> None:
    with another_process(file) as holder:
        assert is_locked(file)
        with pytest.raises(InUseError) as caught, locked(file, f"training in {file.parent}"):
            pass
    said = str(caught.value)
    assert said.startswith(f"training in {file.parent} is in use by process {holder.pid} on ")
    assert re.search(rf"on {re.escape(socket.gethostname())} since 20\d\d-\d\d-\d\dT", said)
    assert "Wait until it has ended, or end it, and run again" in said


def test_what_a_killed_process_leaves_is_taken_over(file: Path) -> None:
    with another_process(file) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert file.is_file()
        assert not is_locked(file)
        with locked(file, "checkpoints"):
            assert is_locked(file)
            assert json.loads(file.read_text())["pid"] == os.getpid()


def test_one_process_cannot_take_it_twice(file: Path) -> None:
    with locked(file, "checkpoints"):
        with pytest.raises(InUseError, match=f"process {os.getpid()} on"), locked(file, "x"):
            pass
        assert is_locked(file)


def test_an_end_by_an_error_gives_it_back_and_leaves_nothing(file: Path) -> None:
    with pytest.raises(ValueError, match="NaN"), locked(file, "checkpoints"):
        raise ValueError("NaN")
    assert list(file.parent.iterdir()) == []
    assert not is_locked(file)


def test_a_file_given_back_while_it_was_opened_holds_nobody_out_and_lets_nobody_in(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking, its holder removed it and a third run made and holds another."""
    flock, third = fcntl.flock, locked(file, "third")
    calls: list[int] = []

    def late(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            file.unlink()
            third.__enter__()
        flock(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lock.fcntl, "flock", late)
    with pytest.raises(InUseError), locked(file, "second"):
        pass
    third.__exit__(None, None, None)
    with locked(file, "second"):
        assert is_locked(file)


def test_a_folder_that_was_made_anew_keeps_its_new_holders_file(file: Path) -> None:
    with locked(file, "first"):
        file.unlink()
        second = locked(file, "second")
        second.__enter__()
    assert is_locked(file)
    second.__exit__(None, None, None)


def test_a_refusal_ends_with_the_advice_that_fits(file: Path) -> None:
    with (
        another_process(file),
        pytest.raises(InUseError, match=r": stop it there$"),
        locked(file, "home", "stop it there"),
    ):
        pass
