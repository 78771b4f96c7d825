"""Names of splits, captions and files as sources have them."""

import pytest

from finecap.data.importers.entry import DatasetImportError, split_named, text_lines, tidied


def test_splits_go_by_many_names():
    names = ["TRAIN", " val ", "dev", "restval", "testing", "test2014", "all"]
    said = ["train", "val", "val", "train", "test", None, None]
    assert [split_named(name) for name in names] == said


def test_captions_are_tidied_and_empty_ones_dropped():
    assert tidied(["A\tdog\r\n", "  ", "!", "2"]) == ("A dog", "2")


def test_lines_keep_their_numbers_and_lose_their_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\n\n two \xe2\x80\xa8 lines\n")
    assert list(text_lines(tmp_path / "a.txt")) == [(1, "one"), (3, "two \u2028 lines")]
    (tmp_path / "a.txt").write_bytes(b"one\ncaf\xe9\n")
    with pytest.raises(DatasetImportError, match=r"a\.txt line 2: byte 4 is not UTF-8"):
        list(text_lines(tmp_path / "a.txt"))
