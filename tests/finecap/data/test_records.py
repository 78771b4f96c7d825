"""Records survive a round trip, and each kind of bad line is named with its remedy."""

import json
import subprocess
import sys

import pytest

from finecap.data.records import (
    Problem,
    Record,
    RecordError,
    iter_records,
    read_records,
    scan_records,
    write_records,
)

GOOD = {"image": "images/1.png", "split": "train", "captions": ["a red boat"]}
FACTS = {
    "background": "sea",
    "objects": [
        {"name": "boat", "colour": "red", "size": "large"},
        {"name": "tree", "colour": "green", "size": "small"},
    ],
    "relations": [[0, "left of", 1]],
    "heldout": False,
}


def written(tmp_path, *lines):
    path = tmp_path / "captions.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n")
    return path


def test_records_survive_a_round_trip(tmp_path):
    records = [
        Record("images/1.png", "train", ("a boat", "ein Schiff\u2028 \u00e9"), part="clip"),
        Record("images/2.png", "val", ("a tree",), alt_text="a green tree"),
    ]
    path = tmp_path / "captions.jsonl"
    write_records(path, records)
    assert read_records(path) == records
    assert [entry.name for entry in tmp_path.iterdir()] == ["captions.jsonl"]


def test_facts_are_parsed_and_survive_a_round_trip(tmp_path):
    [record] = read_records(written(tmp_path, {**GOOD, "facts": FACTS}))
    assert record.facts["relations"] == [(0, "left of", 1)]
    assert record.facts["objects"][0]["colour"] == "red"
    write_records(tmp_path / "again.jsonl", [record])
    assert read_records(tmp_path / "again.jsonl") == [record]


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    path = tmp_path / "captions.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n\n  \n")
    assert len(read_records(path)) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "images/1.png", ', "broken JSON at column"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", r"expected a JSON object, came \[1\]"),
        ({**GOOD, "caption": "x"}, 'unknown field "caption", expected only alt_text, captions'),
        ({"image": "images/1.png", "split": "train"}, '"captions" is missing'),
        ({**GOOD, "split": "dev"}, '"split" is "dev", expected one of train, val, test'),
        ({**GOOD, "split": ["train"]}, r'"split" is \["train"\]'),
        ({**GOOD, "image": 7}, '"image" is 7, expected a path'),
        ({**GOOD, "image": " "}, '"image" is " ", expected a path'),
        ({**GOOD, "image": "../1.png"}, '"image" ../1.png leads out of the data folder'),
        ({**GOOD, "image": "images/../../1.png"}, "leads out of the data folder"),
        ({**GOOD, "image": "/etc/passwd"}, "leads out of the data folder"),
        ({**GOOD, "image": "C:/1.png"}, "leads out of the data folder"),
        ({**GOOD, "image": "images\\1.png"}, "leads out of the data folder"),
        ({**GOOD, "image": "images/./1.png"}, 'has an empty or "." step'),
        ({**GOOD, "image": "images/\x00.png"}, "characters that no file name may have"),
        ({**GOOD, "captions": "a boat"}, '"captions" is "a boat", expected a list of sentences'),
        ({**GOOD, "captions": []}, '"captions" is empty, expected at least one sentence'),
        ({**GOOD, "captions": ["a", " "]}, r'"captions\[2\]" is empty'),
        ({**GOOD, "captions": ["a", None]}, r'"captions\[2\]" is null, expected text'),
        ({**GOOD, "captions": ["\ud800"]}, "half a surrogate pair"),
        ({**GOOD, "part": 1}, '"part" is 1, expected text'),
        ({**GOOD, "alt_text": ""}, '"alt_text" is empty'),
        ({**GOOD, "facts": {"background": "sea"}}, '"facts" expects the fields background'),
        ({**GOOD, "facts": {**FACTS, "heldout": 1}}, 'true or false "heldout"'),
        ({**GOOD, "facts": {**FACTS, "objects": {}}}, 'lists of "objects"'),
        ({**GOOD, "facts": {**FACTS, "objects": [{"name": "boat"}]}}, '"facts.objects" expects'),
        ({**GOOD, "facts": {**FACTS, "relations": [[0, "left of", 2]]}}, "indices below 2"),
        ({**GOOD, "facts": {**FACTS, "relations": [[0, "near", 1]]}}, "a relation of left of"),
    ],
)
def test_a_bad_line_is_named_with_its_reason_and_remedy(tmp_path, line, message):
    path = written(tmp_path, {**GOOD, "image": "images/0.png"}, "", line)
    expected = rf"captions\.jsonl line 3: .*{message}.*; fix or remove the line"
    with pytest.raises(RecordError, match=expected):
        read_records(path)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = tmp_path / "captions.jsonl"
    path.write_bytes(json.dumps(GOOD).encode().replace(b"red", b"r\xe9d"))
    with pytest.raises(RecordError, match="line 1: byte 62 is not UTF-8"):
        read_records(path)


def test_the_second_line_of_an_image_is_named_with_the_first(tmp_path):
    path = written(tmp_path, GOOD, GOOD)
    with pytest.raises(RecordError, match=r'line 2: "image" images/1\.png is already on line 1'):
        read_records(path)


def test_scanning_keeps_the_good_lines_and_all_problems(tmp_path):
    path = written(tmp_path, "{", GOOD, {**GOOD, "split": "x"}, GOOD)
    rows, problems = scan_records(path)
    assert [(line, record.image) for line, record in rows] == [(2, "images/1.png")]
    assert [problem.line for problem in problems] == [1, 3, 4]
    assert problems[1] == Problem(
        3, "images/1.png", '"split" is "x", expected one of train, val, test'
    )


def test_several_bad_lines_are_counted(tmp_path):
    with pytest.raises(RecordError, match=r"line 1: .* \(1 more such lines\)"):
        read_records(written(tmp_path, "{", "{"))


def test_a_missing_file_and_an_empty_one_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"captions\.jsonl does not exist"):
        read_records(tmp_path / "captions.jsonl")
    with pytest.raises(RecordError, match="has no records"):
        read_records(written(tmp_path, ""))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = written(tmp_path, GOOD)
    before = path.read_bytes()

    def broken():
        yield Record("images/2.png", "val", ("a",))
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_records(path, broken())
    assert path.read_bytes() == before


def test_importing_records_imports_no_heavy_package():
    code = "import sys, finecap.data.records; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "pandas", "torch", "PIL", "pydantic"} & set(loaded)


def test_records_come_one_after_another_and_a_bad_one_stops_them(tmp_path):
    rows = iter_records(written(tmp_path, GOOD, "", {**GOOD, "split": "dev"}))
    assert next(rows).image == "images/1.png"
    with pytest.raises(RecordError, match=r'line 3: "split" is "dev".*; fix or remove the line'):
        next(rows)
