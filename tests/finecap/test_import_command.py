"""`finecap import` as a person calls it: options in, one line on stdout, how it went on stderr."""

import json
import sys
import tarfile

import pytest

from finecap import cli
from finecap.data.importers import KINDS
from finecap.data.records import read_records
from finecap.import_command import ColumnError, columns_in, progress
from finecap.log import print_log
from tests.finecap.data.importers.conftest import picture


@pytest.fixture
def finecap(monkeypatch, capsys, tmp_path):
    """finecap(*arguments) imports in `tmp_path`, with four boats: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for seed in range(4):
        picture(seed).save(tmp_path / "photos" / f"{seed}.png")
    lines = [
        json.dumps({"which": f"{n}.png", "one": f"a boat {n}", "two": "sea"}) for n in range(4)
    ]
    (tmp_path / "boats.jsonl").write_text("\n".join(lines))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["finecap", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


BOATS = ("jsonl", "--source", "boats.jsonl", "--into", "data", "--images", "photos")
COLUMNS = ("--column", "image=which", "--column", "caption=one", "--column", "caption=two")


def test_import_says_how_many_came_in_and_how_splits_came_about(finecap, tmp_path):
    code, out, err = finecap(*BOATS, *COLUMNS, "--link", "--seed", "3")
    assert code == 0, err
    assert out.startswith("data: 4 images (")
    assert out.endswith("data/import-report.html\n")
    assert "splits drawn by image content (the source has none), seed 3" in err
    assert (tmp_path / "data" / "images" / "1.png").samefile(tmp_path / "photos" / "1.png")


def test_images_stay_in_shards_and_records_become_some_when_asked_to(finecap, tmp_path):
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "0.tar", "w") as tar:
        for n in range(4):
            (tmp_path / "photos" / f"{n}.txt").write_text("a boat")
            for suffix in ("png", "txt"):
                tar.add(tmp_path / "photos" / f"{n}.{suffix}", arcname=f"{n}.{suffix}")
    source = ("webdataset", "--source", "shards", "--into", "data")
    code, out, err = finecap(*source, "--in-shards", "--parquet")
    assert (code, out.startswith("data: 4 images (")) == (0, True), err
    records = read_records(tmp_path / "data" / "captions")
    assert [record.image for record in records] == [f"images/0.tar/{n}.png" for n in range(4)]


def test_too_many_bad_rows_are_one_line(finecap, tmp_path):
    (tmp_path / "photos" / "1.png").unlink()
    code, out, err = finecap(*BOATS, *COLUMNS)
    assert (code, out) == (1, "")
    assert (
        "1 of 4 images or lines are bad, at most 1.00% may be (--max-bad)" in err.splitlines()[-1]
    )
    code, out, _ = finecap(*BOATS, *COLUMNS, "--max-bad", "0.25")
    assert (code, "1 bad rows" in out) == (0, True)


def test_a_column_that_names_nothing_is_a_wrong_question(finecap):
    code, _, err = finecap(*BOATS, "--column", "image")
    assert code == 2
    assert "--column image: expected FIELD=NAME" in err
    with pytest.raises(ColumnError, match="expected FIELD=NAME"):
        columns_in(["image="])


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(capsys):
    with progress(is_terminal=False) as log:
        assert log is print_log
    with progress(is_terminal=True) as log:
        log("images read", step=1, of=2)
        log("[4] said")
    assert "[4] said" in capsys.readouterr().err


def test_what_came_in_goes_out_as_coco(finecap, tmp_path, monkeypatch, capsys):
    finecap(*BOATS, *COLUMNS)
    (tmp_path / "said.json").write_text('{"1": "a boat"}')
    words = ["finecap", "export", "coco", "--data", "data", "--captions", "said.json"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        cli.main()
    files = capsys.readouterr().out.split()
    assert len([file for file in files if file.startswith("coco/results_")]) == 1


def test_help_names_every_kind(finecap, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = finecap("--help")
    assert code == 0
    assert all(name in out for name in KINDS)
