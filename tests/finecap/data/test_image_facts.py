"""One read of a file shows whether it decodes, its size and its bytes' md5."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from finecap.data import image_facts as module
from finecap.data.image_facts import image_facts
from finecap.data.likeness import SIZE


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
    assert "it is no image" in broken.decode_error
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


def test_spread_is_the_deviation_of_the_channel_that_varies_most(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 90, (20, 30, 3), dtype=np.uint8)
    pixels[:, :, 1] //= 2
    Image.fromarray(pixels).save(tmp_path / "a.png")
    [facts] = image_facts(tmp_path, ["a.png"])
    assert facts.spread == pytest.approx(pixels.std(axis=(0, 1)).max())
    Image.new("L", (9, 9), 255).save(tmp_path / "b.png")
    assert image_facts(tmp_path, ["b.png"])[0].spread == 0


def test_formats_and_modes_of_real_collections_have_facts(tmp_path):
    for mode in ("1", "L", "P", "LA", "RGBA", "I;16"):
        Image.new(mode, (12, 10)).save(tmp_path / f"{mode.replace(';', '')}.png")
    Image.new("CMYK", (300, 200)).save(tmp_path / "cmyk.jpg")
    Image.new("RGB", (300, 200)).save(tmp_path / "a.webp")
    names = sorted(path.name for path in tmp_path.iterdir())
    facts = image_facts(tmp_path, names)
    assert [one.decode_error for one in facts] == [None] * 8
    assert all(len(one.likeness) == SIZE for one in facts)
    cmyk = facts[names.index("cmyk.jpg")]
    assert (cmyk.width, cmyk.height) == (300, 200)


def test_a_jpeg_that_ends_early_is_seen_at_any_scale(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) * 9 // 10])
    assert "truncated" in image_facts(tmp_path, ["a.jpg"])[0].decode_error
