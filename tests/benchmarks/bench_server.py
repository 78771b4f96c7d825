"""The search server under load: asked is 100 answers a second to 32 clients, 99 % within 500 ms.

On the live index of `$FINECAP_HOME`, each question another one, so that nothing is answered from
memory: hybrid searches over REST, words alone, and whole pages. Clients and server share the
machine; figures of one that is not at rest say little. `FINECAP_BENCH_SECONDS` says how long each
kind is asked: 20, and 60 for figures to keep.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from finecap.search.index import NoSuchBuild
from finecap.search.searcher import load_live_manifest
from tests.benchmarks.load import load, questions
from tests.benchmarks.measure import NotMeasurable

CLIENTS = 32
_PROFILE = "extends: scenes\nname: scenes\nserve: {requests_per_minute: 0}\n"
_KINDS = {"hybrid": "/api/search?mode=hybrid", "words": "/api/search?mode=words", "page": "/?"}


def run() -> dict[str, object]:
    """Answers a second, latencies and errors by kind; memory before and after."""
    home = Path(os.environ.get("FINECAP_HOME") or "var")
    try:
        rows = load_live_manifest(home).rows
    except NoSuchBuild as error:
        raise NotMeasurable(str(error)) from error
    seconds = float(os.environ.get("FINECAP_BENCH_SECONDS") or 20)
    figures: dict[str, object] = {"rows": rows, "clients": CLIENTS, "seconds": seconds}
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "load.yaml"
        profile.write_text(_PROFILE)
        server = subprocess.Popen(
            [sys.executable, "-m", "finecap.cli", "serve", "--port", "0", "--profile", profile],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            figures |= _figures(_port(server), server.pid, seconds)
        finally:
            server.kill()
            server.communicate()
    return figures


def _figures(port: int, pid: int, seconds: float) -> dict[str, object]:
    figures: dict[str, object] = {}
    for seed, (kind, path) in enumerate(_KINDS.items()):
        asked = questions(path, seed)
        load(port, CLIENTS, 2, lambda: next(asked))  # noqa: B023 - used before the next round
        before, used = _memory_mb(pid), _cpu_s(pid)
        done = load(port, CLIENTS, seconds, lambda: next(asked))  # noqa: B023
        count = len(done.latencies_s)
        figures |= {
            f"{kind}_per_second": done.per_second,
            f"{kind}_p50_ms": done.percentile_ms(0.5),
            f"{kind}_p99_ms": done.percentile_ms(0.99),
            f"{kind}_errors": done.errors,
            f"{kind}_cpu_ms": 1_000 * (_cpu_s(pid) - used) / count,
            f"{kind}_grown_mb": _memory_mb(pid) - before,
        }
    return figures


def _port(server: "subprocess.Popen[str]") -> int:
    """Where the server says that it listens."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise NotMeasurable("the server ended before it listened")


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def _cpu_s(pid: int) -> float:
    """Processor time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
