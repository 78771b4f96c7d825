"""A mapping becomes a record when every field is one's; files of them are `test_records`."""

import subprocess
import sys

import pytest

from finecap.data.record import Record, RecordError, record_of
from tests.finecap.data.test_records import FACTS, GOOD


def test_a_row_becomes_a_record():
    row = {**GOOD, "part": "clip", "alt_text": "a boat", "facts": FACTS}
    record = record_of(row)
    assert record == Record(
        "images/1.png", "train", ("a red boat",), "clip", "a boat", record.facts
    )
    assert record.facts["relations"] == [(0, "left of", 1)]


def test_what_millions_of_records_share_is_kept_once():
    split, part = "".join(["tra", "in"]), "".join(["cl", "ip"])
    first, second = (record_of({**GOOD, "split": it, "part": part}) for it in (split, "train"))
    assert first.split is second.split
    assert first.part is second.part


@pytest.mark.parametrize("field", ["image", "split", "captions"])
def test_a_missing_field_is_named(field):
    with pytest.raises(RecordError, match=f'"{field}" is missing'):
        record_of({name: value for name, value in GOOD.items() if name != field})


def test_records_need_the_standard_library_alone():
    code = (
        "import sys, finecap.data.record; print({'numpy', 'pyarrow', 'pydantic'} & {*sys.modules})"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert found == "set()\n"
