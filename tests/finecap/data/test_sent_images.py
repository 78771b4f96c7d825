"""What is taken from whoever sends images, and everything that is not."""

import base64
import io
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finecap.data import sent_images
from finecap.data.sent_images import Intake, open_folder, sent_image
from finecap.data.transforms import ImageError, load_image

CLOSED = Intake()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


RED = encoded(Image.new("RGB", (6, 4), "red"))
TEXT = base64.b64encode(RED).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An open folder with an image, beside another that is not open."""
    (tmp_path / "open" / "sub").mkdir(parents=True)
    (tmp_path / "open" / "sub" / "red.png").write_bytes(RED)
    (tmp_path / "secret.png").write_bytes(RED)
    return tmp_path / "open"


@pytest.mark.parametrize(
    "text",
    [TEXT, f"data:image/png;base64,{TEXT}", f"DATA:;BASE64,{TEXT}", f" {TEXT[:40]}\n{TEXT[40:]}\n"],
)
def test_base64_is_read_with_and_without_its_head(text: str):
    assert sent_image(text, CLOSED) == RED


def test_jpeg_whose_base64_begins_like_a_path_is_no_path():
    jpeg = encoded(Image.new("RGB", (6, 4), "red"), "JPEG")
    text = base64.b64encode(jpeg).decode()
    assert text.startswith("/9j/")
    assert sent_image(text, CLOSED) == jpeg


def test_sent_photo_is_read_upright():
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    photo = encoded(Image.new("RGB", (6, 4), "red"), "JPEG", exif=turned)
    text = base64.b64encode(photo).decode()
    assert load_image(sent_image(text, CLOSED)).size == (4, 6)


def test_path_is_read_inside_the_open_folder_alone(folder: Path):
    intake = Intake(folder)
    for inside in ("sub/red.png", "sub/../sub/red.png", str(folder / "sub" / "red.png")):
        assert sent_image(inside, intake) == RED
    for outside in ("../secret.png", str(folder.parent / "secret.png"), "sub/../../secret.png"):
        with pytest.raises(ImageError, match="lies outside the folder that is open to paths"):
            sent_image(outside, intake)


def test_links_out_of_the_folder_are_outside_and_links_within_are_not(folder: Path):
    (folder / "out.png").symlink_to(folder.parent / "secret.png")
    (folder / "up").symlink_to(folder.parent)
    (folder / "in.png").symlink_to(folder / "sub" / "red.png")
    (folder / "round").symlink_to(folder / "round")
    for outside in ("out.png", "up/secret.png"):
        with pytest.raises(ImageError, match="lies outside"):
            sent_image(outside, Intake(folder))
    assert sent_image("in.png", Intake(folder)) == RED
    with pytest.raises(ImageError, match=r"round"):
        sent_image("round", Intake(folder))


def test_message_does_not_tell_what_lies_outside(folder: Path):
    said = []
    for path in ("../secret.png", "../nothing.png"):
        with pytest.raises(ImageError) as refused:
            sent_image(path, Intake(folder))
        said.append(str(refused.value).replace(path, ""))
    assert said[0] == said[1]
    assert str(folder) not in said[0]


def test_named_pipe_is_no_file_and_is_not_waited_for(folder: Path):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(ImageError, match="as a path it cannot be read: it is no file"):
        sent_image("pipe.png", Intake(folder))


def test_without_an_open_folder_no_path_is_read(folder: Path):
    with pytest.raises(ImageError, match=r"is not base64 .*, and no folder is open to paths"):
        sent_image(str(folder / "sub" / "red.png"), CLOSED)


def test_caller_of_this_process_may_name_any_path(folder: Path):
    text = str(folder.parent / "secret.png")
    assert sent_image(text, Intake(is_trusted=True)) == Path(text)


def test_what_only_python_can_send_is_passed_on():
    array, image = np.zeros((2, 2, 3), np.uint8), Image.new("RGB", (2, 2))
    for item in (array, image, Path("a.png")):
        assert sent_image(item, CLOSED) is item
    assert sent_image(RED, CLOSED) is RED


@pytest.mark.parametrize("size", [(9000, 8000), (20_000, 20_000)])
def test_image_of_too_many_pixels_is_refused_by_its_head(size: tuple[int, int]):
    # The head says a size; the pixels are never there.
    head = bytearray(encoded(Image.new("1", (8, 8))))
    head[16:24] = b"".join(side.to_bytes(4, "big") for side in size)
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match=r"too large: 9000 x 8000 pixels|exceeds limit"):
        sent_image(bytes(head), CLOSED)


def test_content_that_is_too_long_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sent_images, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match=r"too large: .* characters, expected 10 bytes at most"):
        sent_image(TEXT, CLOSED)
    with pytest.raises(ImageError, match=r"too large: .* bytes, expected 10 at most"):
        sent_image(RED, CLOSED)


def test_file_in_the_folder_that_is_too_long_is_not_read_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sent_images, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="too large: 11 bytes"):
        sent_image("sub/red.png", Intake(folder))


@given(
    st.text(max_size=80) | st.binary(max_size=80) | st.integers() | st.none() | st.lists(st.none())
)
def test_whatever_is_sent_is_an_image_or_an_image_error(item: object):
    try:
        content = sent_image(item, Intake(Path(__file__).parent))
    except ImageError:
        return
    assert load_image(content).mode == "RGB"


def test_folder_that_is_opened_must_exist(tmp_path: Path):
    assert open_folder(None) is open_folder("") is None
    assert open_folder(str(tmp_path)) == tmp_path.resolve()
    with pytest.raises(ImageError, match=r"FINECAP_IMAGE_FOLDER is .*none, expected an existing"):
        open_folder(str(tmp_path / "none"))
