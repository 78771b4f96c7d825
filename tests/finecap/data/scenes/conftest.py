"""Scenes that the tests of the drawn world share."""

import pytest

from finecap.data.scenes.generator import Generator
from finecap.data.scenes.world import Scene, sample_scene


@pytest.fixture(scope="session")
def train_scenes() -> list[Scene]:
    return [sample_scene(Generator(7, "clip", k, "scene"), train=True) for k in range(1_000)]


@pytest.fixture(scope="session")
def test_scenes() -> list[Scene]:
    return [sample_scene(Generator(7, "test", k, "scene"), train=False) for k in range(1_000)]
