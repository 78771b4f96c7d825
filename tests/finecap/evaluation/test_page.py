"""The page: text stays text, and large photos are shrunk before they are embedded."""

import base64
import io
import re
from pathlib import Path

from PIL import Image

from finecap.evaluation import page
from finecap.evaluation.contact_sheet import Sample
from finecap.evaluation.tables import blocks


def rendered(tmp_path: Path, side: int, caption: str = "a dog") -> str:
    Image.new("RGB", (side, side), "red").save(tmp_path / "x.png")
    metric = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}
    sample = Sample(tmp_path / "x.png", "a <dog>", {"mle": "a cat", "clip_s": caption})
    tables = blocks({"mle": {"cider": metric}})  # type: ignore[dict-item]
    return page.render(
        "T & T", "about", tables=tables, absent=["SPICE: <none>"], plot=b"png", samples=[sample]
    )


def test_text_from_data_cannot_become_markup(tmp_path: Path):
    html = rendered(tmp_path, 8, caption="<script>x</script>")
    assert "<script>" not in html
    assert "T &amp; T" in html
    assert "SPICE: &lt;none&gt;" in html


def test_large_photos_are_shrunk_and_small_ones_kept(tmp_path: Path):
    for side, expected in ((2000, page.MAX_SIDE), (96, 96)):
        html = rendered(tmp_path, side)
        found = re.findall(r'src="data:image/(?:jpeg|png);base64,([^"]+)"', html)[-1]
        assert Image.open(io.BytesIO(base64.b64decode(found))).size == (expected, expected)


def test_a_caption_of_no_words_shows_as_empty(tmp_path: Path):
    assert "<mark>(empty)</mark>" in rendered(tmp_path, 8, caption="")
