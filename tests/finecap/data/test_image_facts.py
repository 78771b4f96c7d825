"""One read of a file shows whether it decodes, its size and its bytes' md5."""

import hashlib

import pytest
from PIL import Image

from finecap.data import image_facts as module
from finecap.data.image_facts import image_facts


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        Image.new("RGB", (20 + number, 30), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_size_and_md5_are_of_the_file(folder):
    [facts] = image_facts(folder, ["3.png"])
    assert (facts.width, facts.height) == (23, 30)
    content = (folder / "3.png").read_bytes()
    assert facts.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert facts.missing is None
    assert facts.decode_error is None


def test_facts_come_in_the_order_asked_for(folder, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 2)
    images = [f"{number}.png" for number in (4, 0, 3, 1, 2)]
    assert [facts.width for facts in image_facts(folder, images)] == [24, 20, 23, 21, 22]


def test_a_missing_file_is_told_from_a_broken_one(folder):
    (folder / "0.png").write_bytes(b"broken")
    (folder / "folder.png").mkdir()
    broken, missing, odd = image_facts(folder, ["0.png", "9.png", "folder.png"])
    assert "cannot identify image" in broken.decode_error
    assert broken.md5 is not None
    assert missing.missing == "9.png does not exist in the folder"
    assert "cannot be read: Is a directory" in odd.missing


def test_a_wrong_checksum_is_seen(folder):
    content = bytearray((folder / "0.png").read_bytes())
    content[content.index(b"IDAT") + 6] ^= 1
    (folder / "0.png").write_bytes(bytes(content))
    [facts] = image_facts(folder, ["0.png"])
    assert facts.decode_error
    assert facts.width is None


def test_a_decompression_bomb_is_no_image(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    [facts] = image_facts(folder, ["0.png"])
    assert "decompression bomb" in facts.decode_error
