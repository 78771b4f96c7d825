"""The world as a folder: the same bytes everywhere, all or nothing, no image twice."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from finecap.config import DataConfig
from finecap.data.records import read_records
from finecap.data.scenes import build, draw_world
from finecap.log import silent

TINY = DataConfig(clip_images=6, judge_images=4, captioner_images=3, val_images=3, test_images=4)


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "data"
    draw_world(folder, TINY, silent)
    return folder


def test_bytes_are_golden(world: Path) -> None:
    digest = _digest(world)
    together = hashlib.sha256("".join(digest[name] for name in sorted(digest)).encode())
    # A change here changes `data.dvc` and every figure: never by accident.
    assert (
        digest["captions.jsonl"]
        == "202f6690a3d999a3b38f1f5bd7d059bc3d05adc56d3f78da52b31a75b8243084"
    )
    assert (
        digest["images/000000.png"]
        == "2d5f2c05ada554898aec8e8adcffb408c93c1cb9f4ec2152a3a63567ce611541"
    )
    assert (
        together.hexdigest() == "a313d138825cb643062638925358d0f66ca139facd9e459ee4f9c29a7f7868bb"
    )


def test_bytes_do_not_depend_on_processes(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_POOL_FROM", 0)
    monkeypatch.setattr(build, "_CHUNK", 7)
    draw_world(tmp_path / "data", TINY, silent, processes=2)
    assert _digest(tmp_path / "data") == _digest(world)


def test_an_image_depends_on_its_part_and_index_alone(world: Path, tmp_path: Path) -> None:
    other = TINY.model_copy(update={"clip_images": 2, "test_images": 1})
    draw_world(tmp_path / "data", other, silent)
    # First of `judge`: number 6 there, number 2 here.
    pixels = [(world / "images/000006.png"), (tmp_path / "data/images/000002.png")]
    assert pixels[0].read_bytes() == pixels[1].read_bytes()


def test_another_seed_draws_another_world(world: Path, tmp_path: Path) -> None:
    draw_world(tmp_path / "data", TINY.model_copy(update={"seed": 1}), silent)
    theirs = _digest(tmp_path / "data")
    assert not set(theirs.values()) & set(_digest(world).values())


def test_records_are_whole_and_their_images_decode(world: Path) -> None:
    records = read_records(world / "captions.jsonl")
    assert Counter((r.split, r.part) for r in records) == {
        ("train", "clip"): 6,
        ("train", "judge"): 4,
        ("train", "captioner"): 3,
        ("val", ""): 3,
        ("test", ""): 4,
    }
    for record in records:
        assert len(record.captions) >= 5
        assert record.alt_text
        assert record.facts
        assert (world / record.image).stat().st_size <= 10_500
        with Image.open(world / record.image) as image:
            image.load()
            assert image.size == (96, 96)


def test_no_two_images_are_equal(world: Path) -> None:
    digests = _digest(world)
    assert len(set(digests.values())) == len(digests)


def test_equal_pixels_are_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build._draw_image
    attempts: list[int] = []

    def clashing(draft: Path, seed: int, job: build.Job) -> tuple[object, str]:
        attempts.append(job.attempt)
        record, digest = whole(draft, seed, job)
        return record, "same" if job.attempt == 0 else digest

    monkeypatch.setattr(build, "_draw_image", clashing)
    draw_world(tmp_path / "data", TINY, silent, processes=1)
    # All but the first image of twenty claim its pixels and are drawn a second time.
    assert Counter(attempts) == {0: 20, 1: 19}
    digests = _digest(tmp_path / "data")
    assert len(set(digests.values())) == len(digests)


def test_a_whole_world_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "captions.jsonl").write_text("mine")
    messages: list[str] = []
    draw_world(folder, TINY, lambda message, **_: messages.append(message))
    assert (folder / "captions.jsonl").read_text() == "mine"
    assert "nothing drawn" in messages[0]


def test_a_half_drawn_world_is_drawn_anew(world: Path, tmp_path: Path) -> None:
    stale = tmp_path / "data.partial" / "images"
    stale.mkdir(parents=True)
    (stale / "999999.png").write_bytes(b"half")
    draw_world(tmp_path / "data", TINY, silent)
    assert _digest(tmp_path / "data") == _digest(world)
    assert not stale.exists()


def test_an_empty_folder_is_filled(world: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    draw_world(tmp_path / "data", TINY, silent)
    assert _digest(tmp_path / "data") == _digest(world)


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match=r"exists without captions\.jsonl"):
        draw_world(tmp_path, TINY, silent)
    assert (tmp_path / "notes.txt").exists()
