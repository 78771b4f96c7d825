"""Static files are ours, or vendored with their licence, and load nothing."""

import re
from pathlib import Path

from finecap.server import static
from finecap.server.static import static_files


def test_each_file_has_its_type_and_a_name_by_content():
    files = static_files()
    assert set(files) == {"htmx.min.js", "icon.svg", "page.css", "page.js"}
    assert len({file.etag for file in files.values()}) == len(files)
    assert files["page.css"].media_type == "text/css; charset=utf-8"


def test_our_own_files_name_no_other_address():
    for name in ("page.css", "page.js"):
        assert not re.search(rb"https?://|url\(|@import", static_files()[name].content)


def test_what_is_vendored_has_its_licence_beside_it():
    assert b'version:"2.0.8"' in static_files()["htmx.min.js"].content
    assert (Path(static.__file__).parent / "htmx.LICENSE.txt").is_file()
