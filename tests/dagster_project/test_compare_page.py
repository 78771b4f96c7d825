"""MLflow's pages in a real browser: what they show first answers which reward is best."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dagster_project import compared, stack
from dagster_project.compared import CAPTIONER, captioners_page, compare_page
from dagster_project.dataset_input import DataSet
from dagster_project.home import Home
from dagster_project.served import Model, model_of
from dagster_project.servers import Servers
from dagster_project.tracking import Tracker
from finecap.config import load_profile
from tests.browser import Browser, find_browser
from tests.dagster_project.conftest import ROOT
from tests.dagster_project.test_published import CODE

pytestmark = pytest.mark.slow
R1 = {"cider": 0.01, "clip_s": 0.6, "cider_clip_s": 0.2, "clip_s_grammar": 0.5,
      "clip_s_grammar_attribute": 0.7}  # fmt: skip
DATA = DataSet("scenes", "0" * 32 + ".dir", Path("/data"), {"train": 7, "val": 2, "test": 3})
WAIT_MS = 30_000  # of the page's own time


def tracked(home: Home) -> dict[str, str]:
    """Run by reward, tracked as a pipeline does: trained one after the other, scored afterwards."""
    tracker = Tracker(home.mlflow, "finecap-scenes", "run-1")
    arms = load_profile("scenes").scst
    code, exported = home.path / "code.py", home.path / "exported"
    code.write_text(CODE)
    exported.mkdir()
    signature = model_of(CAPTIONER, "", "captioner", ROOT).signature
    versions = {}
    for reward, r1 in R1.items():
        config, tags = arms[reward].model_dump(mode="json"), {"model": CAPTIONER}
        with tracker.child(reward, config, tags, data=DATA, awaited=[compared.primary()]) as run:
            for step in range(3):
                run.log(step, {"train/val_reward": 9.0 - r1, "train/loss": 0.0})
        model = Model(CAPTIONER, reward, code, signature)
        versions[reward] = tracker.register(model, run.run_id, exported, {})
    for reward, r1 in R1.items():
        scores = {"val/cider": 1 - r1, "val/judge_t2i_r1": r1, "test/judge_t2i_r1": r1}
        tracker.add_scores(versions[reward], scores, DATA)
    tracker.pipeline.end("FINISHED")
    return {reward: version.run_id for reward, version in versions.items()}


@pytest.fixture(scope="module")
def browser() -> Browser:
    return find_browser()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[dict[str, str]]:
    """Runs by reward, behind the server that `make up` starts."""
    del browser  # without one, nothing is begun
    home = Home(ROOT, tmp_path_factory.mktemp("home"))
    found = tracked(home)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINECAP_MLFLOW_PORT", port)
        with Servers(home.root) as servers:
            servers.start(stack.own_mlflow(home))
            yield found


def chosen(dom: str) -> list[str]:
    """What the page has chosen to draw."""
    return re.findall(r'select-selection-item-content">([^<]*)<', dom)


def axes(dom: str) -> list[str]:
    """Titles of the axes that it has drawn."""
    return re.findall(r'class="axis-title"[^>]*data-unformatted="([^"]*)"', dom)


def test_the_compare_page_draws_reward_weights_against_the_judge(
    runs: dict[str, str], browser: Browser, tmp_path: Path
):
    address = compare_page("1", list(runs.values()))
    dom = browser.dom(address, wait_ms=WAIT_MS)
    weights = ["weights.cider", "weights.clip_s", "weights.grammar"]
    assert chosen(dom) == [*weights, "val/judge_t2i_r1"]
    assert axes(dom) == [*weights, "val/judge_t2i_r1"]
    assert re.search(r"Comparing 5 Runs", dom)
    assert all(f">{reward}<" in dom for reward in R1)  # runs are named as variants
    ends = re.findall(r'class="[^"]*axis-extent-text"[^>]*>([\d.]+)<', dom)
    assert {"0.70000", "0.01000"} <= set(ends)  # of the judge's axis
    picture = browser.picture(address, tmp_path / "compare.png", wait_ms=WAIT_MS, width=1600)
    lines = Image.open(picture).convert("RGB")
    assert len(lines.getcolors(1 << 24)) > 100  # drawn, not blank


def test_the_runs_page_shows_captioners_best_first_with_data_and_scores(
    runs: dict[str, str], browser: Browser
):
    dom = browser.dom(captioners_page("1"), wait_ms=WAIT_MS, width=1900)
    named = {run_id: reward for reward, run_id in runs.items()}
    listed = [named[run_id] for run_id in re.findall(r"/runs/(\w{32})", dom) if run_id in named]
    assert list(dict.fromkeys(listed)) == sorted(R1, key=lambda reward: -R1[reward])
    assert "Sort: val/judge_t2i_r1" in re.sub("<[^>]*>", "", dom)
    assert "5 matching runs" in re.sub("<[^>]*>", "", dom)
    assert f"scenes ({DATA.md5})" in re.sub("<[^>]*>", "", dom)
