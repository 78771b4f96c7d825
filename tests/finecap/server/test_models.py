"""Models are those that the build names, by content, and remembered."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finecap.config import ServeConfig
from finecap.search.index import IndexRefused, Manifest
from finecap.search.searcher import load_live_manifest
from finecap.server.models import Models


@pytest.fixture
def manifest(gallery_home: Path) -> Manifest:
    return load_live_manifest(gallery_home)


@pytest.fixture(scope="module")
def models(gallery_home: Path) -> Models:
    return Models(gallery_home, ServeConfig())


def test_texts_and_images_become_unit_vectors(models: Models, manifest: Manifest, tiny: Any):
    text = models.text_vector(manifest, "a red boat")
    assert models.text_vector(manifest, "a red boat") is text
    with Image.open(tiny.folder / tiny.records[0].image) as image:
        seen = models.image_vector(manifest, image.convert("RGB"))
        said = models.caption(manifest, image.convert("RGB"))
    for vector in (text, seen):
        assert vector.shape == (manifest.dims,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
    assert said


def test_an_encoder_of_other_content_or_size_is_refused(gallery_home: Path, manifest: Manifest):
    models = Models(gallery_home, ServeConfig())
    other = manifest.encoder.model_copy(update={"digest": "0" * 32})
    with pytest.raises(IndexRefused, match="that the index was built with"):
        models.text_vector(manifest.model_copy(update={"encoder": other}), "a")
    with pytest.raises(IndexRefused, match=r"the encoder has 16 dims, build \w+ has 8"):
        models.text_vector(manifest.model_copy(update={"dims": 8}), "a")
