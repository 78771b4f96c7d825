"""Our PNG bytes, read back by Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from finecap.data.scenes.png import encode


def _picture(height: int, width: int, colours: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    return rng.integers(0, colours, (height, width)).astype(np.uint8), palette


@pytest.mark.parametrize(("height", "width", "colours"), [(96, 96, 256), (1, 3, 1), (300, 400, 7)])
def test_pillow_decodes_the_same_pixels(height: int, width: int, colours: int) -> None:
    indices, palette = _picture(height, width, colours)
    image = Image.open(io.BytesIO(encode(indices, palette)))
    assert image.mode == "P"
    assert (np.asarray(image.convert("RGB")) == palette[indices]).all()


def test_full_palette_stays_under_the_size_limit() -> None:
    assert len(encode(*_picture(96, 96, 256))) <= 10_500


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected indices \(H, W\)"):
        encode(np.zeros((2, 2, 3), np.uint8), np.zeros((1, 3), np.uint8))


def test_index_beyond_the_palette_is_refused() -> None:
    with pytest.raises(ValueError, match="index 5 with a palette of 2"):
        encode(np.full((2, 2), 5, np.uint8), np.zeros((2, 3), np.uint8))
