"""How an index survives: kill -9 at work, a full disk. Processes are real, and so are the kills.

`FINECAP_CRASHES` is how often each phase is killed, spread over what the phase does: 2 here, 20 for
a soak.
"""

import os
import re
import signal
import subprocess
import sys

import pytest

from finecap.search.index import IndexRefused, SearchRequest
from tests.finecap.search import crash

CRASHES = int(os.environ.get("FINECAP_CRASHES", "2"))


@pytest.fixture
def live(index, gallery):
    gallery.build(index, "one")
    index.promote("one", expect=None)
    return index


@pytest.fixture
def killed(index_url, tmp_path):
    """killed(phase, share) is what becomes of a builder that dies there."""

    def run(phase, share):
        arguments = [str(tmp_path / "index"), index_url, phase, str(share)]
        command = [sys.executable, "-m", "tests.finecap.search.crash", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    return run


def answers(index, build_id=None):
    return index.search(SearchRequest("red boat"), build_id), index.facets(build_id=build_id)


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("phase", ["upsert", "finish", "promote"])
def test_kill_9_leaves_the_live_build_as_it_was(engine, killed, phase):
    before = answers(engine(), "one")
    for time in range(CRASHES):
        died = killed(phase, (time + 0.5) / CRASHES)
        assert died.returncode == -signal.SIGKILL, died.stderr
        index = engine()
        finished = {build.build_id for build in index.builds()}
        assert answers(index, "one") == before
        assert finished == ({"one", "two"} if phase == "promote" else finished | {"one"})
        assert index.live() in ({"one", "two"} if phase == "promote" else {"one"})
        if phase == "upsert":
            assert "two" not in finished
            with pytest.raises(IndexRefused, match="holds") as refused:
                index.finish("two", lambda _: 1.0)
            held = int(re.search(r"holds (\d+) rows", str(refused.value))[1])
            assert held % crash.PER_BATCH == 0
        if "two" in finished:
            assert len(index.search(SearchRequest("boat", limit=99), "two")) == 12
            if index.live() == "two":
                index.promote("one", expect="two")
            index.drop("two")
    for work in crash.phases(engine(), "two").values():
        work()
    assert {hit.caption for hit in engine().search(SearchRequest("boat"))} == {"a new boat"}


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("index_url", [""], ids=["lance"])
@pytest.mark.parametrize(
    ("phase", "most_bytes"), [("create", 300), ("upsert", 500), ("finish", 300)]
)
def test_a_full_disk_stops_the_build_and_nothing_else(engine, killed, phase, most_bytes):
    before = answers(engine())
    stopped = killed(f"full {phase}", most_bytes)
    assert stopped.returncode == 1
    assert "File too large" in stopped.stderr
    assert answers(engine()) == before
    assert [build.build_id for build in engine().builds()] == ["one"]
    for work in crash.phases(engine(), "two").values():
        work()
    assert engine().live() == "two"
