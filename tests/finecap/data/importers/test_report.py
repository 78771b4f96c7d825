"""The report counts alike reasons together and escapes what sources say."""

from finecap.data.importers.entry import NOTE, Fault
from finecap.data.importers.report import by_reason, write_report

FAULTS = [
    Fault("1.jpg", "a.csv", 3, "no such photo 1.jpg in photos/"),
    Fault("2.jpg", "a.csv", 4, "no such photo 2.jpg in photos/"),
    Fault("<b>", "a.csv", 5, "came '<script>'", NOTE),
]


def test_reasons_that_differ_in_names_alone_are_one():
    assert by_reason(FAULTS)[0] == ("bad", "no such photo … in photos/", 2)


def test_a_page_escapes_what_a_source_says(tmp_path):
    write_report(tmp_path, "Import", ["3 images"], FAULTS)
    page = (tmp_path / "import-report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert len((tmp_path / "import-report.csv").read_text().splitlines()) == 4


def test_an_import_without_faults_says_so(tmp_path):
    write_report(tmp_path, "Import", [], [])
    assert "Every row came in" in (tmp_path / "import-report.html").read_text()
