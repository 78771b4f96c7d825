"""JSON of others is read whole, or refused by place."""

import pytest

from finecap.data.json_files import read_json


class RefusedError(ValueError):
    """Whoever asks says what is raised."""


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    assert read_json(tmp_path / "a.json", RefusedError) == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":\n [1}', r"a\.json line 2 column 4: not JSON \(.*is the file whole\?"),
        (b'"\xe9"', r"a\.json: byte 2 is not UTF-8"),
    ],
)
def test_what_is_no_json_is_refused_by_place(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RefusedError, match=message):
        read_json(tmp_path / "a.json", RefusedError)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.json does not exist"):
        read_json(tmp_path / "a.json", RefusedError)
