"""The page: text stays text, photos are shrunk, a browser shows all of it offline."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from finecap.evaluation import page
from finecap.evaluation.contact_sheet import Sample
from finecap.evaluation.tables import GROUPS, blocks, summary
from tests.browser import Browser, find_browser

MEASURE = """
<script>addEventListener('load', () => {
  const all = (what) => [...document.querySelectorAll(what)]
  parent.postMessage(JSON.stringify({
    seen: innerWidth,
    needed: document.documentElement.scrollWidth,
    drawn: all('img').every((img) => img.complete && img.naturalWidth > 0),
    images: all('img').length,
    without_words: all('img').filter((img) => !img.alt).length,
    reachable: all('.wide').every((part) => part.tabIndex === 0 && part.ariaLabel),
    scrolled: all('.wide').filter((part) => part.scrollWidth > part.clientWidth).length,
    fetched: performance.getEntriesByType('resource').filter((e) => /^http/.test(e.name)).length,
  }), '*')
})</script>
"""
FRAME = """<!doctype html><title>nothing was measured</title>
<script>addEventListener('message', (message) => { document.title = message.data })</script>
<iframe src="page.html" style="border: 0; width: WIDTHpx; height: 900px"></iframe>
"""
"""A screen of any width; a window is no narrower than 500 pixels."""


def rendered(tmp_path: Path, side: int, caption: str = "a dog") -> str:
    Image.new("RGB", (side, side), "red").save(tmp_path / "x.png")
    metric = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}
    sample = Sample(tmp_path / "x.png", "a <dog>", {"mle": "a cat", "clip_s": caption})
    table = {"mle": {"cider": metric}}
    return page.render(
        "T & T",
        "about",
        summary=summary(table),  # type: ignore[arg-type]
        tables=blocks(table),  # type: ignore[arg-type]
        absent=["SPICE: <none>"],
        plot=b"png",
        samples=[sample],
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


def test_neighbouring_words_that_differ_are_under_one_mark(tmp_path: Path):
    assert "a <mark>red dog</mark></dd>" in rendered(tmp_path, 8, caption="a red dog")


def test_the_page_names_nothing_on_any_network(tmp_path: Path):
    assert not re.search(r"(?:https?:)?//", rendered(tmp_path, 8))


@pytest.fixture
def browser() -> Browser:
    return find_browser()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A page with every metric there is, and a script that says what it measures of it."""
    Image.new("RGB", (64, 64), "red").save(tmp_path / "x.png")
    metric = {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}
    table = {
        variant: {name: metric for names in GROUPS.values() for name in names}
        for variant in ("mle", "clip_s_grammar_attribute")
    }
    png = (tmp_path / "x.png").read_bytes()
    captions = dict.fromkeys(table, "a very long caption " * 9)
    content = page.render(
        "Leaderboard: scenes",
        f"data {'0' * 32}.dir",
        summary=summary(table),  # type: ignore[arg-type]
        tables=blocks(table),  # type: ignore[arg-type]
        absent=["SPICE: needs Java"],
        plot=png,
        samples=[Sample(tmp_path / "x.png", "a boat", captions)] * 3,
    )
    file = tmp_path / "page.html"
    file.write_text(content.replace("</body>", f"{MEASURE}</body>"))
    return file


def measured(browser: Browser, file: Path, width: int) -> dict[str, object]:
    outer = file.with_name("frame.html")
    outer.write_text(FRAME.replace("WIDTH", str(width)))
    found = re.search("<title>(.*?)</title>", browser.dom(outer.as_uri(), width=1400))
    assert found is not None
    return json.loads(found[1])


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_all_of_it_and_only_tables_are_scrolled_sideways(
    browser: Browser, file: Path, width: int
):
    found = measured(browser, file, width)
    assert found["seen"] == width
    assert found["needed"] == width
    assert (found["drawn"], found["images"], found["without_words"]) == (True, 4, 0)
    assert found["reachable"] is True
    assert (found["scrolled"] > 3) is (width == 390)
    assert found["fetched"] == 0


@pytest.mark.slow
def test_it_is_dark_where_the_reader_wants_it(browser: Browser, file: Path, tmp_path: Path):
    light = browser.picture(file.as_uri(), tmp_path / "light.png", width=600, height=400)
    asked = ("--blink-settings=preferredColorScheme=0",)
    dark = browser.picture(
        file.as_uri(), tmp_path / "dark.png", width=600, height=400, options=asked
    )
    corners = [sum(Image.open(each).convert("RGB").getpixel((2, 2))) for each in (light, dark)]
    assert corners == [3 * 255, sum((0x0D, 0x11, 0x17))]
