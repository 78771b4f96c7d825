"""Content tells its format, and content of no format that is read tells what it seems to be."""

import io

import pytest
from PIL import Image

from finecap.data.image_facts import facts_of
from finecap.data.image_formats import FORMATS, UnknownFormatError, open_image
from finecap.data.transforms import load_image


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_by_content_alone(form: str) -> None:
    content = saved(form)
    assert open_image(content).format == form
    assert facts_of(content).format == form
    assert load_image(content).resize((1, 1)).getpixel((0, 0)) == pytest.approx(
        (200, 30, 30), abs=4
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG or other XML"),
        (b"\xef\xbb\xbf\n<!DOCTYPE HTML><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        (b"\x89PNG\r\n\x1a\n", "no image, or a broken one"),
    ],
)
def test_what_is_no_image_is_told(content: bytes, said: str) -> None:
    with pytest.raises(UnknownFormatError, match=f"^it is {said}.* expected one of PNG, JPEG, "):
        open_image(content)
    assert str(facts_of(content).decode_error).startswith(f"it is {said}")


def saved(form: str) -> bytes:
    """A red picture in that format."""
    content = io.BytesIO()
    Image.new("RGB", (48, 32), (200, 30, 30)).save(content, form)
    return content.getvalue()
