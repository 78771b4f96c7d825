"""How the folder survives: kill -9 at any moment, damaged files, several processes."""

import json
import signal
import subprocess
import sys
import textwrap

import pytest

from finecap.search.index import IndexRefused, SearchRequest
from finecap.search.lance import LanceIndex

# Dies by SIGKILL just before the file operation whose number is given; exits 0 once it runs out.
DIES_AT = """
    import os, pathlib, shutil, signal, sys
    folder, left = pathlib.Path(sys.argv[1]), [int(sys.argv[2])]

    def deadly(operation):
        def run(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*args, **kwargs)
        return run

    from finecap.search import files, lance, lance_build
    from finecap.search.index import Manifest, Row
    from finecap.search.query import ATTRIBUTES
    import numpy as np

    for module, name in ((pathlib.Path, "rename"), (pathlib.Path, "replace"),
                         (lance.shutil, "rmtree"), (lance_build, "write_vectors"),
                         (lance_build, "_full_text"), (lance, "arrow_of")):
        setattr(module, name, deadly(getattr(module, name)))

    index = lance.LanceIndex(folder)
    model = dict(name="m", version="1", path="p")
    index.create(Manifest(build_id="two", captioner=model, encoder=model, data_md5="d", dims=2,
                          rows=2, created_at="2027"))
    for name in ("a", "b"):
        index.upsert("two", [Row(name, name, "a new boat", np.array([1, 0], np.float32))])
    index.finish("two", lambda search: 1.0)
    index.promote("two", expect="one")
"""


@pytest.fixture
def live(tmp_path, gallery):
    index = LanceIndex(tmp_path / "index")
    gallery.build(index, "one")
    index.promote("one", expect=None)
    return index


def answers(folder):
    """(live build, its captions) as a process that opens the folder afresh sees them."""
    index = LanceIndex(folder)
    return index.live(), [hit.caption for hit in index.search(SearchRequest("boat"))]


def run_deadly(folder, step):
    command = [sys.executable, "-c", textwrap.dedent(DIES_AT), str(folder), str(step)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


# 3: half of the rows are staged; 6: half of the files are sealed; 9: all but the build's rename;
# 10: finished, and live.json about to be replaced.
@pytest.mark.parametrize(
    "step",
    [pytest.param(3, marks=pytest.mark.slow), 6, pytest.param(9, marks=pytest.mark.slow), 10],
)
def test_kill_9_leaves_the_live_build_as_it_was(live, tmp_path, step):
    folder = tmp_path / "index"
    before = answers(folder)
    died = run_deadly(folder, step)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert answers(folder) == before
    finished = [build.build_id for build in live.builds()]
    assert finished == (["one", "two"] if step == 10 else ["one"])
    if step == 6:
        again = run_deadly(folder, 10_000)
        assert again.returncode == 0, again.stderr
        assert answers(folder) == ("two", ["a new boat"] * 2)


def test_a_second_promotion_of_the_live_build_keeps_the_way_back(live, gallery, tmp_path):
    gallery.build(live, "two")
    live.promote("two", expect="one")
    live.promote("two", expect="two")
    state = json.loads((tmp_path / "index" / "live.json").read_text())
    assert state == {"build": "two", "previous": "one"}


@pytest.mark.parametrize("text", ["[]", '{"build": 3}'])
def test_a_damaged_live_json_is_named(live, tmp_path, text):
    (tmp_path / "index" / "live.json").write_text(text)
    with pytest.raises(IndexRefused, match=r"live.json: expected"):
        live.live()


def test_a_damaged_manifest_is_named(live, tmp_path):
    path = tmp_path / "index" / "builds" / "one" / "manifest.json"
    path.write_text(path.read_text().replace('"dims"', '"sizes"'))
    with pytest.raises(IndexRefused, match=r"manifest.json is not a manifest"):
        live.builds()


@pytest.mark.usefixtures("live")
def test_a_finished_build_holds_no_staged_rows_and_half_precision_vectors(tmp_path):
    folder = tmp_path / "index" / "builds" / "one"
    assert {p.name for p in folder.iterdir()} == {
        "manifest.json",
        "captions.lance",
        "vectors.npy",
        "values.json",
        "postings.npy",
        "rows.bin",
        "rows.npy",
        "blocks.json",
    }
    assert not list((tmp_path / "index" / "building").iterdir())
    assert (folder / "vectors.npy").stat().st_size == 128 + 8 * 8 * 2
