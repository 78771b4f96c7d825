"""Captions and references in the forms that people have them, and what is refused."""

import json
from pathlib import Path

import pytest

from finecap.data.caption_files import CaptionFileError, read_captions, read_references


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


@pytest.mark.parametrize(
    "content",
    [
        [{"image_id": 7, "caption": "a dog"}, {"image_id": "x", "caption": ""}],
        [{"image": "7", "caption": "a dog", "score": 1}, {"image": "x", "caption": ""}],
        {"7": "a dog", "x": ""},
    ],
)
def test_captions_are_read_by_image_in_order(path: Path, content: object):
    path.write_text(json.dumps(content))
    assert list(read_captions(path).items()) == [("7", "a dog"), ("x", "")]


@pytest.mark.parametrize(
    "content",
    [
        {
            "images": [{"id": 7}],
            "annotations": [
                {"image_id": 7, "id": 1, "caption": "a dog"},
                {"image_id": 8, "id": 2, "caption": "a cat"},
                {"image_id": 7, "id": 3, "caption": "the dog"},
            ],
        },
        {"7": ["a dog", "the dog"], "8": "a cat"},
        [{"image": "7", "caption": ["a dog", "the dog"]}, {"image_id": 8, "caption": "a cat"}],
    ],
)
def test_references_are_gathered_by_image(path: Path, content: object):
    path.write_text(json.dumps(content))
    assert read_references(path) == {"7": ["a dog", "the dog"], "8": ["a cat"]}


def test_references_of_a_data_folder_are_its_records(tmp_path: Path):
    row = {"image": "images/1.png", "split": "test", "captions": ["a boat", "a ship"]}
    (tmp_path / "captions.jsonl").write_text(json.dumps(row) + "\n")
    found = read_references(tmp_path / "captions.jsonl")
    assert found == {"images/1.png": ["a boat", "a ship"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "line 1 column 3: not JSON"),
        ('"a dog"', 'file.json: "a dog", expected'),
        ("[]", "has no caption"),
        ('[{"caption": "a dog"}]', 'entry 1: {"caption": "a dog"}, expected "image_id"'),
        ('[{"image_id": 1}]', 'entry 1: {"image_id": 1}, expected'),
        ('[{"image_id": true, "caption": "a"}]', "entry 1: .*whole number"),
        ('[{"image_id": 1.5, "caption": "a"}]', "entry 1: .*whole number"),
        ('[{"image_id": 1, "caption": null}]', "entry 1: caption is null, expected one sentence"),
        ('{"1": ["a", "b"]}', "file.json: 1: caption is .* expected one sentence"),
        (
            '[{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}]',
            "entry 2: image 1 has a caption already",
        ),
    ],
)
def test_broken_captions_are_refused_where_they_break(path: Path, content: str, message: str):
    path.write_text(content)
    with pytest.raises(CaptionFileError, match=message):
        read_captions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "has no reference"),
        ('{"1": [""]}', 'file.json: 1: reference "", expected a sentence'),
        ('{"annotations": [{"id": 1, "caption": "a"}]}', "entry 1: .*image_id"),
        ('{"1": [["a"]]}', r'reference \["a"\], expected a sentence'),
    ],
)
def test_broken_references_are_refused_where_they_break(path: Path, content: str, message: str):
    path.write_text(content)
    with pytest.raises(CaptionFileError, match=message):
        read_references(path)


def test_a_missing_file_and_another_encoding_are_named(path: Path):
    with pytest.raises(FileNotFoundError, match=r"file.json does not exist"):
        read_captions(path)
    path.write_bytes(b'{"1": "caf\xe9"}')
    with pytest.raises(CaptionFileError, match="byte 11 is not UTF-8"):
        read_captions(path)
