"""Pages in a real browser: nothing comes from elsewhere, nothing goes wrong in its console."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.driven import Page, driven

pytestmark = pytest.mark.slow


@pytest.fixture
def tab(address: str) -> Iterator[Page]:
    """A tab that must, at the end, have asked nobody but the server and have had no complaint."""
    with driven() as tab:
        yield tab
        asked = [url for url in tab.asked if not url.startswith("about:")]
        assert asked
        assert [url for url in asked if not url.startswith(address + "/")] == []
        assert tab.complaints == []


def marked(tab: Page) -> int:
    return tab.value("document.querySelectorAll('mark').length")


def test_typing_finds_images_without_a_new_page(tab: Page, address: str):
    tab.open(address)
    tab.value("window.isSame = true")
    assert tab.value("document.activeElement.id") == "q"
    tab.type("boat")
    tab.wait(lambda: tab.value("location.search") == "?q=boat" and marked(tab))
    assert tab.value("window.isSame")
    assert tab.value("document.activeElement.id") == "q"
    assert any("/static/htmx.min.js" in url for url in tab.asked)


def test_slider_and_chips_work_together_and_the_back_button_goes_back(tab: Page, address: str):
    tab.open(address + "/?q=boat")
    tab.value("window.isSame = true")
    tab.value("document.getElementById('balance').focus()")
    for _ in range(5):
        tab.press("ArrowLeft", 37)
    tab.wait(lambda: tab.value("location.search") == "?q=boat&balance=0")
    assert tab.value("document.getElementById('balanced').textContent") == "by the words alone"
    busy = "document.querySelectorAll('.htmx-request, .htmx-swapping, .htmx-settling').length"
    tab.wait(lambda: tab.value(busy) == 0)  # else what is opened is replaced under the hand
    tab.value("document.querySelector('.fields').open = true")
    tab.value("document.querySelector('.fields .chip a').click()")
    tab.wait(lambda: "has=colour" in tab.value("location.search"))
    assert "balance=0" in tab.value("location.search")
    tab.wait(lambda: tab.value("document.querySelector('.fields').open"))
    assert tab.value("window.isSame")
    tab.value("document.getElementById('q').focus()")
    tab.press("End", 35)
    tab.type(" sea")  # the chip is still asked for
    tab.wait(lambda: "sea" in tab.value("location.search"))
    assert "has=colour" in tab.value("location.search")
    tab.value("history.back()")
    tab.wait(lambda: "sea" not in tab.value("location.search"))
    tab.wait(lambda: tab.value("document.getElementById('q').value") != "boat sea")


def test_without_scripts_everything_is_links_and_forms(tab: Page, address: str):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(address)
    tab.type("boat")
    tab.press("Enter", 13, "\r")
    tab.wait(lambda: "q=boat" in tab.value("location.search") and marked(tab))
    tab.value("document.querySelector('.picture').click()")
    tab.wait(lambda: tab.value("location.pathname").startswith("/images/"))
    tab.wait_for_text("Why it ranked")


def test_a_file_that_is_chosen_is_captioned_and_searched_with(tab: Page, address: str, tiny: Any):
    tab.open(address)
    tab.value("document.querySelector('.by-image').open = true")
    tab.choose_file("#image", tiny.folder / tiny.records[0].image)
    tab.value("document.querySelector('.by-image button').click()")
    tab.wait(lambda: "like=upload" in tab.value("location.search"))
    tab.wait_for_text("The captioner says of it")
    tab.wait(lambda: tab.value("document.querySelector('.example img').complete"))
    assert tab.value("document.querySelector('.example img').naturalWidth") > 0


def test_hostile_captions_do_nothing(tab: Page, address: str, client: httpx.Client):
    tab.open(address)
    image = client.get("/api/search").json()["hits"][0]["image"]
    tab.open(f"{address}/images/{image}?q=red+boat")
    tab.wait_for_text("<script>alert(1)</script>")
    assert tab.value("document.querySelectorAll('img[onerror]').length") == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(
    tab: Page, address: str, client: httpx.Client, width: int
):
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=800, deviceScaleFactor=1, mobile=width < 500,
    )  # fmt: skip
    image = client.get("/api/search?q=boat").json()["hits"][0]["image"]
    for path in ("/?q=boat&has=colour:red", f"/images/{image}?q=boat", f"/?like={image}"):
        tab.open(address + path)
        assert tab.value("document.documentElement.scrollWidth") <= width
