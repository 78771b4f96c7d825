"""Images that were sent are known by their pixels, for a while."""

import io

import numpy as np
import pytest
from PIL import Image

from finecap.server.kept import UPLOAD, Kept
from finecap.server.refusals import Refused

VECTOR = np.eye(2, dtype=np.float32)[0]


def test_what_is_kept_is_a_caption_a_vector_and_a_thumbnail():
    kept = Kept(2)
    sent = kept.keep(Image.new("RGB", (800, 400), "red"), "a red thing", VECTOR, "digest")
    assert kept.get(sent.key) == sent
    assert sent.key.startswith(UPLOAD)
    assert Image.open(io.BytesIO(sent.thumbnail)).size == (320, 160)


def test_the_same_pixels_have_the_same_name_and_other_shapes_another():
    kept = Kept(9)
    images = [Image.new("RGB", size) for size in ((4, 2), (4, 2), (2, 4))]
    keys = [kept.keep(image, "", VECTOR, "d").key for image in images]
    assert keys[0] == keys[1] != keys[2]


def test_the_oldest_makes_room_and_is_gone():
    kept = Kept(1)
    first = kept.keep(Image.new("RGB", (4, 4)), "", VECTOR, "d")
    kept.keep(Image.new("RGB", (5, 5)), "", VECTOR, "d")
    with pytest.raises(Refused, match="no longer kept") as refused:
        kept.get(first.key)
    assert refused.value.status == 410
