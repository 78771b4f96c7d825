"""Java programs that pycocoevalcap ships: found, run, and always ended.

METEOR and SPICE exist as Java alone. A program that cannot be had, crashes, answers nonsense or
takes too long raises `UnavailableError`; an evaluation shows its text in place of a number.
What stays out: what the programs are asked (`meteor.py`, `spice.py`).
"""

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

Ask = Callable[[str], str]
"""Sends a line, returns the line that comes back."""

_SHOWN = 300  # characters of what a program said last


class UnavailableError(RuntimeError):
    """A metric that cannot be computed on this machine; the text says why."""


def find_java() -> str:
    """Path of the Java runtime.

    Raises:
        UnavailableError: there is none on PATH.
    """
    found = shutil.which("java")
    if found is None:
        raise UnavailableError(
            "needs Java: there is no `java` on PATH; install a Java runtime (8 up)"
        )
    return found


def find_program(package: str, file: str) -> Path:
    """Path of a file in one of pycocoevalcap's packages, which are not imported.

    Args:
        package: e.g. "meteor".
        file: relative to the package's folder.

    Raises:
        UnavailableError: pycocoevalcap is not installed, or came without the file.
    """
    whole = find_spec("pycocoevalcap")
    folders = list(whole.submodule_search_locations or ()) if whole else []
    if not folders:
        raise UnavailableError("needs pycocoevalcap: pip install 'finecap[metrics]'")
    path = Path(folders[0]) / package / file
    if not path.is_file():
        raise UnavailableError(f"needs {path.name}, which pycocoevalcap has not at {path}")
    return path


@contextmanager
def conversation(
    name: str, command: Sequence[str], folder: Path, timeout_s: float
) -> Generator[Ask]:
    """A program that answers each line with one, for as long as the block lasts.

    Args:
        name: of the program, in errors.
        command: with its arguments.
        folder: to run it in.
        timeout_s: seconds from start to end of the block.

    Raises:
        UnavailableError: it ended or ran out of time before it had answered.
    """
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603 a fixed command
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,  # a pipe that nobody reads would block the program once full
        )
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            process.kill()

        watch = threading.Timer(timeout_s, end)
        watch.start()

        def ask(line: str) -> str:
            answer = _exchange(process, line)
            if answer is not None:
                return answer
            code = process.wait()
            if is_late.is_set():
                raise UnavailableError(_late(name, timeout_s))
            complaints.seek(0)
            raise UnavailableError(_ended(name, code, complaints.read().decode(errors="replace")))

        try:
            yield ask
        finally:
            watch.cancel()
            process.kill()
            process.communicate()  # closes the pipes and collects the process


def run_to_end(name: str, command: Sequence[str], folder: Path, timeout_s: float) -> None:
    """Run a program that reads and writes files.

    Raises:
        UnavailableError: it failed or ran out of time.
    """
    try:
        subprocess.run(  # noqa: S603 a fixed command
            command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=True
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(_late(name, timeout_s)) from None
    except subprocess.CalledProcessError as error:
        raise UnavailableError(_ended(name, error.returncode, error.stderr)) from None


def _exchange(process: subprocess.Popen[bytes], line: str) -> str | None:
    """The answer to a line; None where the program is gone."""
    assert process.stdin  # noqa: S101 both are pipes
    assert process.stdout  # noqa: S101
    try:
        process.stdin.write(re.sub(r"[\r\n]", " ", line).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    answer = process.stdout.readline()
    return answer.decode().strip() if answer.endswith(b"\n") else None


def _late(name: str, timeout_s: float) -> str:
    return f"{name} took longer than {timeout_s:g} s and was ended"


def _ended(name: str, code: int, said: str) -> str:
    return f"{name} ended with exit status {code}: {said.strip()[-_SHOWN:] or 'it said nothing'}"
