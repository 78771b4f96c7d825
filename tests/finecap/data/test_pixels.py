"""Pixels of many images: equal in turn, by row and in a table, which is written whole or not."""

import json
import os
import resource
import threading
import time

import numpy as np
import pytest
from PIL import Image

from finecap.data import pixels
from finecap.data.pixels import Look, PixelRows, pixel_batches, pixel_table
from finecap.data.records import Record
from finecap.data.transforms import ImageError, Resizing, load_image, to_pixels
from finecap.log import silent


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 255, (24, 24 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / "images" / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def records():
    return [Record(f"images/{number}.png", "train", ("a",)) for number in range(5)]


def test_a_table_row_equals_the_image_read_alone(folder, records, tmp_path):
    table = pixel_table(folder, records, 16, tmp_path / "pixels.npy", silent)
    assert (table.shape, table.dtype) == ((5, 16, 16, 3), np.uint8)
    for row, record in zip(table, records, strict=True):
        assert np.array_equal(row, to_pixels(load_image(folder / record.image), 16))
    names = sorted(entry.name for entry in tmp_path.glob("pixels*"))
    assert names == ["pixels.npy", "pixels.npy.json"]


def test_chunks_are_written_in_order(folder, records, tmp_path, monkeypatch):
    whole = np.array(pixel_table(folder, records, 16, tmp_path / "a.npy", silent))
    monkeypatch.setattr(pixels, "_CHUNK", 2)
    assert np.array_equal(pixel_table(folder, records, 16, tmp_path / "b.npy", silent), whole)


def test_a_finished_table_is_opened_and_not_written_again(folder, records, tmp_path):
    path = tmp_path / "pixels.npy"
    pixel_table(folder, records, 16, path, silent)
    before = path.stat().st_mtime_ns
    pixel_table(folder, records, 16, path, silent)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["size", "resizing", "image", "order", "sidecar"])
def test_a_table_of_other_images_is_written_anew(folder, records, tmp_path, change):
    path = tmp_path / "pixels.npy"
    pixel_table(folder, records, 16, path, silent)
    if change == "image":
        Image.new("RGB", (30, 30), "blue").save(folder / "images" / "0.png")
    if change == "order":
        records = records[::-1]
    if change == "sidecar":
        (tmp_path / "pixels.npy.json").write_text(json.dumps([]))
    size = 8 if change == "size" else 16
    resizing = Resizing("squash" if change == "resizing" else "shortest")
    table = pixel_table(folder, records, size, path, silent, resizing)
    for row, record in zip(table, records, strict=True):
        assert np.array_equal(row, to_pixels(load_image(folder / record.image), size, resizing))


def test_a_failed_table_leaves_nothing(folder, records, tmp_path):
    (folder / "images" / "3.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"3\.png does not decode"):
        pixel_table(folder, records, 16, tmp_path / "pixels.npy", silent)
    assert not list(tmp_path.glob("pixels*"))


def test_a_full_disk_leaves_nothing_half_written(folder, records, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # bytes; the table needs 3,968
    try:
        with pytest.raises(OSError, match="File too large"):
            pixel_table(folder, records, 16, tmp_path / "pixels.npy", silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("pixels*"))
    assert len(pixel_table(folder, records, 16, tmp_path / "pixels.npy", silent)) == 5


def test_a_missing_image_stops_before_any_work(folder, records, tmp_path):
    (folder / "images" / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"3\.png does not exist"):
        pixel_table(folder, records, 16, tmp_path / "pixels.npy", silent)


def test_progress_is_reported(folder, records, tmp_path):
    lines = []
    pixel_table(folder, records, 16, tmp_path / "pixels.npy", lines.append)
    assert lines == ["resized 5 of 5 images to 16 px"]


def test_batches_hold_each_look_of_the_same_images(folder, records):
    looks = [Look(16), Look(8, Resizing("squash"))]
    [first, second] = pixel_batches(folder, records, looks, 3)
    assert [len(rows) for rows in (*first, *second)] == [3, 3, 2, 2]
    for row, record in zip(np.concatenate([first[1], second[1]]), records, strict=True):
        image = load_image(folder / record.image)
        assert np.array_equal(row, to_pixels(image, 8, Resizing("squash")))


def test_images_are_read_few_batches_ahead(folder, records):
    cores = os.cpu_count() or 1
    many = records[:1] * (cores + 4) + records[1:2]
    batches = pixel_batches(folder, many, [Look(16)], 1)
    next(batches)
    time.sleep(0.05)  # what would be read ahead now is
    Image.new("RGB", (30, 30), "blue").save(folder / records[1].image)
    assert list(batches)[-1][0][0, 0, 0].tolist() == [0, 0, 255]


def test_batches_that_nobody_wants_are_not_read(folder, records):
    before = set(threading.enumerate())
    batches = pixel_batches(folder, records * 1000, [Look(16)], 1)
    next(batches)
    assert set(threading.enumerate()) > before
    batches.close()
    assert set(threading.enumerate()) <= before


def test_rows_are_decoded_when_they_are_asked_for(folder, records, tmp_path):
    table = pixel_table(folder, records, 16, tmp_path / "pixels.npy", silent)
    rows = PixelRows(folder, records, Look(16))
    assert len(rows) == 5
    for wanted in (slice(1, 4), slice(3, 99), slice(2, 2), np.array([4, 0, 4]), np.array([], int)):
        assert np.array_equal(rows[wanted], table[wanted])
    assert rows[np.array([], int)].shape == (0, 16, 16, 3)
    Image.new("RGB", (30, 30), "blue").save(folder / records[0].image)
    assert rows[:1][0, 0, 0].tolist() == [0, 0, 255]
