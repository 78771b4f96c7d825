"""An import replaces a folder whole or not at all, and the same one again changes nothing."""

import errno
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from finecap.config import ImportConfig
from finecap.data.importers import DatasetImportError, import_dataset
from finecap.data.importers import ingest as ingest_module
from finecap.log import silent


@pytest.fixture
def source(tmp_path, photos):
    """Ten boats in a table with splits."""
    folder = tmp_path / "boats"
    photos(folder, *(f"{n}.png" for n in range(10)))
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    rows = [f"{n}.png,a boat with number {n},{split}\n" for n, split in enumerate(splits)]
    (folder / "boats.csv").write_text("image,caption,split\n" + "".join(rows))
    return folder


def snapshot(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def add_row(source, row):
    with (source / "boats.csv").open("a") as file:
        file.write(row + "\n")


def test_the_same_import_again_changes_nothing(source, bring):
    first = bring("csv", source)
    before = snapshot(first.into)
    again = bring("csv", source)
    assert again.report.unchanged
    assert snapshot(first.into) == before
    assert again.report.by_split == first.report.by_split == {"train": 6, "val": 2, "test": 2}


def test_a_changed_source_replaces_the_earlier_import(source, tmp_path, bring):
    bring("csv", source)
    add_row(source, "9.png,a sleepy boat,test")
    brought = bring("csv", source)
    assert (brought.report.captions, brought.report.unchanged) == (11, False)
    assert brought.captions["images/9.png"] == ("a boat with number 9", "a sleepy boat")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["boats", "data"]


def test_a_repaired_photo_is_brought_in_again(source, bring):
    whole = (source / "3.png").read_bytes()
    (source / "3.png").write_bytes(whole[:60])
    assert bring("csv", source, max_bad=0.1).report.images == 9
    (source / "3.png").write_bytes(whole)
    assert bring("csv", source).report.images == 10


@pytest.mark.parametrize("lost", ["images/4.png", "captions.jsonl"])
def test_an_import_that_lost_a_file_is_made_whole(source, bring, lost):
    into = bring("csv", source).into
    (into / lost).unlink()
    assert not bring("csv", source).report.unchanged
    assert (into / lost).is_file()


def test_images_are_copied_unless_links_are_asked_for(source, bring, monkeypatch):
    copied = bring("csv", source)
    assert not (copied.into / "images/0.png").samefile(source / "0.png")
    linked = bring("csv", source, link=True)
    assert (linked.into / "images/0.png").samefile(source / "0.png")
    assert not (linked.into / "images/0.png").is_symlink()

    other_disk = OSError(errno.EXDEV, "Invalid cross-device link")
    monkeypatch.setattr("pathlib.Path.hardlink_to", Mock(side_effect=other_disk))
    add_row(source, "9.png,one more,test")
    linked = bring("csv", source, link=True)
    assert (linked.into / "images/0.png").is_symlink()
    assert len(linked.records) == 10


def test_too_many_bad_rows_leave_everything_as_it_was(source, tmp_path, bring):
    into = bring("csv", source).into
    before = snapshot(into)
    add_row(source, "ghost.png,a ship,test")
    with pytest.raises(DatasetImportError) as failure:
        bring("csv", source)
    assert re.search(
        r"1 of 11 images or lines are bad, at most 1\.00% may be \(--max-bad\); "
        r"--max-bad 0\.091 lets the others in: no such photo in boats/ \(1\)\. "
        r".*data is as it was; every row is in .*data\.rejected/import-report\.html",
        str(failure.value),
    )
    assert snapshot(into) == before
    assert "ghost.png" in (tmp_path / "data.rejected" / "import-report.html").read_text()
    assert not (tmp_path / "data.partial").exists()
    assert bring("csv", source, max_bad=0.1).report.bad == 1
    assert not (tmp_path / "data.rejected").exists()


def test_the_report_names_every_row_and_loads_nothing(source, bring):
    (source / "3.png").write_bytes(b"<b>broken</b>")
    add_row(source, "0.png, . ,train")
    brought = bring("csv", source, max_bad=0.5)
    page = (brought.into / "import-report.html").read_text()
    assert "does not decode" in page
    assert "columns: image from image, caption from caption, split from split" in page
    assert "http" not in page
    assert {image for image, _, _ in brought.faults} == {"3.png", "0.png"}


def broken_off(source, into, after, monkeypatch, **settings):
    """Import until `after` entries have their line in the journal."""
    written = Mock(side_effect=[*[None] * after, KeyboardInterrupt])
    line = ingest_module._journal_line
    monkeypatch.setattr(ingest_module, "_journal_line", lambda *a: (written(), line(*a))[1])
    with pytest.raises(KeyboardInterrupt):
        import_dataset("csv", source, into, silent, ImportConfig(**settings))
    monkeypatch.undo()


def test_an_import_that_was_broken_off_goes_on_and_ends_the_same(
    source, tmp_path, bring, monkeypatch
):
    monkeypatch.setattr(ingest_module, "_CHUNK", 2)
    broken_off(source, tmp_path / "data", 5, monkeypatch)
    with (tmp_path / "data.partial" / "journal.jsonl").open("a") as file:
        file.write('{"image": "images/5.pn')  # torn by the kill
    kept = tmp_path / "data.partial" / "images" / "1.png"
    before = kept.stat().st_mtime_ns
    said = []
    import_dataset("csv", source, tmp_path / "data", lambda message, **_: said.append(message))
    assert said[0] == "going on after 5 images"
    assert (tmp_path / "data" / "images" / "1.png").stat().st_mtime_ns == before
    straight = import_dataset("csv", source, tmp_path / "straight", silent)
    for name in ("captions.jsonl", "import-report.csv", "import-report.html", "import.json"):
        content = (straight.folder / name).read_bytes()
        assert (tmp_path / "data" / name).read_bytes() == content
    assert bring("csv", source).report.unchanged


def test_an_import_that_was_killed_goes_on(source, tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from finecap.data.importers import import_dataset, ingest\n"
        "from finecap.log import silent\n"
        "ingest._CHUNK, line, left = 1, ingest._journal_line, iter(range(6))\n"
        "ingest._journal_line = "
        "lambda row: line(row) if next(left) < 5 else os.kill(os.getpid(), 9)\n"
        "import_dataset('csv', Path(sys.argv[1]), Path(sys.argv[2]), silent)\n"
    )
    into = tmp_path / "data"
    killed = subprocess.run([sys.executable, "-c", code, source, into], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not into.exists()
    said = []
    import_dataset("csv", source, into, lambda message, **_: said.append(message))
    assert said[0] == "going on after 5 images"
    straight = import_dataset("csv", source, tmp_path / "straight", silent).folder
    assert (into / "captions.jsonl").read_bytes() == (straight / "captions.jsonl").read_bytes()


def test_another_import_does_not_go_on_with_what_was_broken_off(
    source, tmp_path, bring, monkeypatch
):
    broken_off(source, tmp_path / "data", 5, monkeypatch)
    assert bring("csv", source, seed=1).report.images == 10


def test_a_full_disk_leaves_the_earlier_import(source, bring, monkeypatch):
    into = bring("csv", source).into
    before = snapshot(into)
    add_row(source, "9.png,a sleepy boat,test")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("pathlib.Path.write_bytes", Mock(side_effect=full))
    with pytest.raises(OSError, match="No space left"):
        bring("csv", source)
    assert snapshot(into) == before
    monkeypatch.undo()
    assert bring("csv", source).report.captions == 11


def test_a_folder_with_other_content_is_refused(source, tmp_path, bring):
    into = tmp_path / "data"
    into.mkdir()
    (into / "captions.jsonl").write_text("mine\n")
    with pytest.raises(DatasetImportError, match="not empty and holds no earlier import of csv"):
        bring("csv", source)
    assert (into / "captions.jsonl").read_text() == "mine\n"


def test_a_partial_folder_that_is_no_import_is_refused(source, tmp_path, bring):
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetImportError, match=r"data\.partial is in the way"):
        bring("csv", source)


def test_an_empty_folder_and_a_stale_partial_one_are_taken(source, tmp_path, bring):
    (tmp_path / "data").mkdir()
    (tmp_path / "data.partial" / "images").mkdir(parents=True)
    assert bring("csv", source).report.images == 10


def test_a_file_in_the_way_is_refused(source, tmp_path, bring):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(DatasetImportError, match="is a file, expected a folder"):
        bring("csv", source)


def test_a_source_of_bad_rows_alone_is_refused_whatever_is_allowed(source, bring):
    (source / "boats.csv").write_text("image,caption\nghost.png,a ship\n")
    with pytest.raises(DatasetImportError, match="1 of 1 images or lines are bad"):
        bring("csv", source, max_bad=1)
    (source / "boats.csv").write_text("image,caption\n")
    with pytest.raises(DatasetImportError, match="csv source has no image with captions"):
        bring("csv", source)


def test_rows_without_split_are_bad_where_others_have_one(source, bring):
    path = source / "boats.csv"
    path.write_text(path.read_text().replace("number 9,test", "number 9,"))
    brought = bring("csv", source, max_bad=0.1)
    assert brought.faults == [("images/9.png", "bad", "has no split, though other images have one")]
    assert not (brought.into / "images" / "9.png").exists()


def test_an_image_in_two_splits_is_reported_and_stays_in_the_first(source, bring):
    add_row(source, "0.png,a boat,test")
    brought = bring("csv", source, max_bad=0.1)
    [(image, kind, reason)] = brought.faults
    assert (image, kind) == ("0.png", "bad")
    assert reason == "in split test here, in train before; its captions here were left out"
    assert brought.splits["0.png"] == "train"


def test_an_unknown_kind_is_named_with_those_there_are(source, bring):
    with pytest.raises(DatasetImportError, match="unknown kind of data set 'voc', expected one of"):
        bring("voc", source)


def test_the_folder_one_stands_in_is_a_target_like_any(source, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetImportError, match="here is not empty and holds no earlier import"):
        import_dataset("csv", source, Path(), silent)
