"""Programs that answer, crash, hang and talk nonsense; none of them stays behind."""

import sys
import time
from pathlib import Path

import pytest

from finecap.metrics.java import (
    UnavailableError,
    conversation,
    find_java,
    find_program,
    run_to_end,
)

ECHO = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"
CRASH = "import sys\nsys.stdin.readline()\nsys.exit('out of memory')"
HANG = "import time\ntime.sleep(60)"


def children() -> list[str]:
    """This process's children, the dead that nobody collected among them."""
    tasks = Path("/proc/self/task").iterdir()
    return [pid for task in tasks for pid in (task / "children").read_text().split()]


def talk(program: str, timeout_s: float = 30) -> list[str]:
    command = [sys.executable, "-c", program]
    with conversation("a program", command, Path.cwd(), timeout_s) as ask:
        return [ask("a dog"), ask("two\nlines\r")]


def test_each_line_has_its_answer() -> None:
    assert talk(ECHO) == ["A DOG", "TWO LINES"]


def test_a_crash_is_an_error_that_says_what_the_program_said() -> None:
    with pytest.raises(UnavailableError, match="a program ended with exit status 1: out of memory"):
        talk(CRASH)


def test_a_program_that_hangs_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(UnavailableError, match=r"a program took longer than 0\.3 s and was ended"):
        talk(HANG, timeout_s=0.3)
    assert time.monotonic() - started < 20


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts children by /proc")
@pytest.mark.parametrize("program", [ECHO, CRASH, HANG])
def test_no_process_stays_behind(program: str) -> None:
    before = children()
    try:
        talk(program, timeout_s=0.5 if program == HANG else 30)
    except UnavailableError:
        assert program != ECHO
    assert children() == before


def test_an_error_within_the_block_ends_the_program_too() -> None:
    before = children()
    with (
        pytest.raises(ZeroDivisionError),
        conversation("a program", [sys.executable, "-c", HANG], Path.cwd(), 30),
    ):
        raise ZeroDivisionError
    assert children() == before


def test_a_program_that_is_run_to_its_end_says_why_it_failed() -> None:
    run_to_end("a program", [sys.executable, "-c", ""], Path.cwd(), 30)
    with pytest.raises(UnavailableError, match="a program ended with exit status 1: no models"):
        run_to_end(
            "a program", [sys.executable, "-c", "exit('no models')"], Path.cwd(), timeout_s=30
        )
    with pytest.raises(UnavailableError, match=r"longer than 0\.3 s"):
        run_to_end("a program", [sys.executable, "-c", HANG], Path.cwd(), timeout_s=0.3)


def test_without_java_the_reason_is_plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="needs Java: there is no `java` on PATH"):
        find_java()


def test_without_pycocoevalcap_the_reason_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.split(".")[0] == "pycocoevalcap"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UnavailableError, match=r"pip install 'finecap\[metrics\]'"):
        find_program("meteor", "meteor-1.5.jar")


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(
        UnavailableError, match=r"needs no-such\.jar, which pycocoevalcap has not at"
    ):
        find_program("meteor", "no-such.jar")
