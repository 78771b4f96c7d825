"""What the benchmarks measure is what their words say."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks import measure
from tests.benchmarks.measure import Result, cpu_seconds, cpu_seconds_of, peak_gb

ROOT = Path(__file__).resolve().parents[2]


def spin(seconds: float) -> None:
    started = time.process_time()
    while time.process_time() - started < seconds:
        pass


def allocate(megabytes: int) -> int:
    return len(b"x" * (megabytes * 1_000_000))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_cpu_seconds_count_work_and_not_sleep() -> None:
    assert cpu_seconds(lambda: time.sleep(0.1), repeats=1) < 0.05
    assert 0.03 <= cpu_seconds(lambda: spin(0.03), repeats=2) < 0.1


def test_the_first_call_warms_up_and_is_not_measured() -> None:
    pauses = iter([0.1, 0.0, 0.0])
    assert cpu_seconds(lambda: spin(next(pauses)), repeats=2) < 0.05


def test_works_take_turns() -> None:
    calls: list[str] = []
    cpu_seconds_of({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert calls == ["a", "b"] * 3


def test_threads_are_set_for_this_process_and_its_children(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    cpu_seconds(lambda: None, repeats=1, threads=2)
    assert measure.os.environ["OMP_NUM_THREADS"] == "2"
    if "torch" in sys.modules:
        assert sys.modules["torch"].get_num_threads() == 2
    measure.use_threads(1)


def test_peak_sees_an_allocation_and_not_what_the_caller_holds() -> None:
    ballast = b"x" * 400_000_000
    empty, full = peak_gb(allocate, 0), peak_gb(allocate, 300)
    del ballast
    assert empty < 0.25
    assert 0.29 < full - empty < 0.32


def test_a_result_is_written_whole_with_its_machine(tmp_path: Path) -> None:
    path = Result("pace", "at least 1", {"ratio": 2.5}, threads=1).write(tmp_path / "bench")
    read = json.loads(path.read_text())
    assert path == tmp_path / "bench" / "pace.json"
    assert read["ratio"] == 2.5
    assert {"cpu", "torch", "date", "commit"} <= {
        key for key, fact in read["about"]["machine"].items() if fact
    }
    assert [file.name for file in path.parent.iterdir()] == ["pace.json"]


def test_a_result_that_cannot_be_written_leaves_the_last_one(tmp_path: Path) -> None:
    path = Result("pace", "", {"ratio": 2.5}, threads=1).write(tmp_path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        Result("pace", "", {"ratio": object()}, threads=1).write(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        Result("pace", "", {"ratio": float("nan")}, threads=1).write(tmp_path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["pace.json"]


def test_results_lie_in_the_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FINECAP_HOME", str(tmp_path))
    assert Result("pace", "", {}, threads=1).write() == tmp_path.resolve() / "bench" / "pace.json"


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    refused = run("-m", "tests.benchmarks", "cidre")
    assert refused.returncode == 2
    assert "no benchmark cidre; expected some of" in refused.stderr
    assert "cider" in refused.stderr
