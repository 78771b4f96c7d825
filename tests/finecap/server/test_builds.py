"""Which build answers: the live one, looked up now and then, and older ones while they exist."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finecap.search.files import exclusive
from finecap.search.index import Manifest, ModelReference, NoSuchBuild, Row
from finecap.search.lance import LanceIndex
from finecap.server.builds import Builds
from finecap.server.refusals import Refused

MODEL = ModelReference(name="m", version="1", path="m")


def add_build(home: Path, build_id: str, expect: str | None) -> None:
    """A finished build of one row goes live."""
    index, settings = LanceIndex(home / "index"), dict[str, Any](data_md5="d", dims=2, rows=1)
    index.create(
        Manifest(build_id=build_id, captioner=MODEL, encoder=MODEL, created_at=build_id, **settings)
    )
    index.upsert(build_id, [Row("a.png", "a.png", "a boat", np.eye(2, dtype=np.float32)[0])])
    index.finish(build_id, lambda _: 1.0)
    index.promote(build_id, expect=expect)


def test_without_an_index_nothing_is_live(tmp_path: Path):
    with pytest.raises(NoSuchBuild, match="no build is live"):
        Builds(tmp_path).live()


def test_a_promotion_shows_after_half_a_second_and_the_old_build_goes_on(tmp_path: Path):
    now = [0.0]
    builds = Builds(tmp_path, clock=lambda: now[0])
    add_build(tmp_path, "one", None)
    assert builds.live().build_id == "one"
    add_build(tmp_path, "two", "one")
    assert builds.live().build_id == "one"
    now[0] = 0.6
    assert builds.live().build_id == "two"
    assert builds.named("one").build_id == "one"
    LanceIndex(tmp_path / "index").drop("one")
    assert not builds.is_held("one")
    with pytest.raises(Refused, match="build one is no longer kept") as refused:
        builds.named("one")
    assert refused.value.status == 410


def test_a_builder_is_noticed_while_it_lives(tmp_path: Path):
    builds = Builds(tmp_path)
    assert not builds.is_building()
    with exclusive(tmp_path / "index" / ".building"):
        assert builds.is_building()
    assert not builds.is_building()
