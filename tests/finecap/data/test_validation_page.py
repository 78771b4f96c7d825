"""The page shows verdict, counts and pictures, and needs nothing but itself."""

import re

import pytest

from finecap.config import ValidationConfig
from finecap.data.expectations import ValidationFailed, validate
from finecap.log import silent


def page_of(data, share=0.9):
    destination = data.folder.parent / "verdict"
    destination.mkdir()
    data.write()
    config = ValidationConfig(max_quarantined_share=share)
    return validate(data.folder, config, destination, silent).report.read_text()


def test_the_page_needs_nothing_but_itself(data):
    page = page_of(data)
    assert not re.search(r"https?:|<script|<link|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_verdict_counts_and_samples(data):
    page = page_of(data)
    assert 'Data validation <span class="good">passed' in page
    assert "12 good records, 0 set aside" in page
    assert re.search(r"<td>train</td><td class=num>8</td>", page)
    assert re.search(r"<td>judge</td><td class=num>3</td>", page)
    assert page.count("data:image/png;base64,") == 10  # 6 train, 2 val, 2 test
    assert "a boat / the sea" in page


def test_rows_set_aside_are_shown_with_their_picture(data):
    data.rows[0]["captions"] = ["boat " * 61]
    data.image(1).write_bytes(b"broken")
    data.image(2).unlink()
    page = page_of(data)
    assert "a caption has 61 words" in page
    assert "does not decode</div>" in page
    assert "missing</div>" in page
    assert page.count("FAIL</span>") == 3


def test_text_from_the_data_is_escaped(data):
    data.rows[0]["captions"] = ["<script>alert(1)</script>"]
    page = page_of(data)
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_a_path_out_of_the_folder_is_not_followed(data):
    data.image(0).rename(data.folder.parent / "secret.png")
    data.rows[0]["image"] = "../secret.png"
    assert "no picture</div>" in page_of(data)


def test_a_failed_run_has_its_page(data):
    for number in range(6):
        data.image(number).unlink()
    with pytest.raises(ValidationFailed, match="6 of 12 rows fail"):
        page_of(data, share=0.1)
    page = (data.folder.parent / "verdict" / "report.html").read_text()
    assert 'Data validation <span class="bad">failed' in page
    assert "6 of 12 rows fail" in page
