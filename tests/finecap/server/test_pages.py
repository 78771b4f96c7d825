"""Pages over a real server, as a browser without scripts reads them."""

import re
import time
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from finecap.search.files import exclusive
from finecap.server.guard import POLICY


class Attributes(HTMLParser):
    """Collects each tag with its attributes, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page(client: httpx.Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def link(text: str, words: str) -> str:
    """The address of the first link with those words."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{words}', text)
    assert found, words
    return unescape(found[1])


def test_matched_words_are_marked_and_scores_shown(client: httpx.Client):
    text = page(client, "/?q=boat")
    assert "<mark>boat</mark>" in text
    assert "<dt>words</dt>" in text
    assert "<dt>picture</dt>" in text
    assert 'value="boat"' in text


def test_chips_include_exclude_and_let_go(client: httpx.Client):
    first = page(client, "/")
    include = re.search(r'href="(/\?has=colour%3A\w+)"', first)
    exclude = re.search(r'href="(/\?without=colour%3A\w+)"', first)
    assert include
    assert exclude
    chosen = page(client, include[1])
    value = include[1].rpartition("%3A")[2]
    assert f'name="has" value="colour:{value}"' in chosen
    assert link(chosen, f"colour: {value}") == "/"
    assert f"not colour: {value}" in page(client, exclude[1])


def test_next_pages_lead_through_and_back(client: httpx.Client):
    text, seen = page(client, "/?q=boat"), 1
    while "Next page" in text:
        text = page(client, link(text, "Next page"))
        seen += 1
    assert seen == 5  # 48 images, 10 a page
    assert link(text, "First page") == "/?q=boat"


def test_captions_are_escaped_wherever_they_stand(client: httpx.Client, hostile: str, tiny: Any):
    listed = page(client, "/")
    image = next(r.image for r in tiny.records if r.split in {"val", "test"})
    for text in (
        listed,
        page(client, f"/images/{image}?q=red+boat"),
        page(client, f"/?like={image}"),
    ):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert hostile in unescape(re.sub("</?mark>", "", listed))


def test_what_is_asked_is_escaped(client: httpx.Client):
    for path in (
        '/?q="><script>alert(1)</script>',
        "/?has=<script>",
        "/images/<script>",
        "/<script>",
    ):
        assert "<script>alert" not in client.get(path).text
        assert "<script>\n" not in client.get(path).text


def test_more_like_this_shows_the_image_and_what_is_said_of_it(client: httpx.Client):
    more = link(page(client, "/?q=boat"), "more like this")
    text = page(client, more)
    assert "The captioner says of it:" in text
    assert link(text, "Search without it") == "/"


def test_an_image_page_says_why_it_ranked_and_compares_versions(client: httpx.Client):
    why = link(page(client, "/?q=boat"), "why here")
    text = page(client, why)
    assert re.search(r"Place <b>1</b> for <q>boat</q>", text)
    assert re.search(r"1/\(60 \+ \d+\) \+ 1/\(60 \+ \d+\) = 0\.\d{4}", text)
    assert "says of the query: boat" in text
    assert text.count("<option") >= 2 * 6  # a model and five people, to the left and right
    assert link(text, "Back to the search") == "/?q=boat"
    compared = page(client, why + "&a=person 1&b=person 2")
    assert compared.count("<option selected>person 1") == 1
    assert compared.count("<option selected>person 2") == 1


@pytest.mark.parametrize(
    ("balance", "says"),
    [(0, "words&#39; score alone"), (30, "0.70 * words"), (100, "cosine alone")],
)
def test_every_balance_is_explained(client: httpx.Client, balance: int, says: str):
    why = link(page(client, f"/?q=boat&balance={balance}"), "why here")
    assert says in page(client, why)


def test_an_image_that_is_sent_leads_to_a_page_that_can_be_shared(client: httpx.Client, png: bytes):
    answer = client.post("/search-by-image", files={"image": ("a.png", png)})
    assert answer.status_code == 303
    text = page(client, answer.headers["location"])
    picture = re.search(r'src="(/sent/[^"]+)"', text)
    assert picture
    assert client.get(picture[1]).headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("content", [b"<svg/>", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_image_is_refused_with_a_page(client: httpx.Client, content: bytes):
    answer = client.post("/search-by-image", files={"image": ("a.png", content)})
    assert answer.status_code == 400
    assert "To the search" in answer.text


def test_pictures_come_with_headers_that_let_them_be_kept(client: httpx.Client):
    picture = re.search(r'src="(/thumbnails/[^"]+)"', page(client, "/"))
    assert picture
    first = client.get(picture[1])
    assert first.headers["content-type"] in {"image/png", "image/jpeg"}
    assert first.headers["cache-control"] == "public, max-age=86400"
    again = client.get(picture[1], headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/thumbnails/none/images/a.png", 410),
        ("/thumbnails/%2e%2e/%2e%2e/etc/passwd", 410),
        ("/static/%2e%2e/app.py", 404),
        ("/static/..%2fapp.py", 404),
        ("/sent/none", 410),
        ("/images/none.png", 404),
        ("/?q=kind:red", 400),
        ("/?balance=101", 422),
        ("/nowhere", 404),
    ],
)
def test_what_is_not_there_is_said_on_a_page(client: httpx.Client, path: str, status: int):
    text = page(client, path, status)
    assert f"Status {status}" in text
    assert "To the search" in text


def test_a_query_that_cannot_be_read_can_be_mended(client: httpx.Client):
    text = page(client, "/?q=kind:red+boat", 400)
    assert 'name="q" type="search" value="kind:red boat"' in text


def test_nothing_found_says_what_to_do(client: httpx.Client):
    text = page(client, "/?q=zeppelin&balance=0&has=colour:red")
    assert "No image found" in text
    assert "Take a condition away" in text
    assert "No caption says any of these words" in text


def test_pages_may_load_and_run_nothing_that_is_not_ours(client: httpx.Client):
    for path in ("/", "/nowhere", "/static/page.js", "/api/search"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICY
    text = page(client, "/?q=boat")
    parsed = Attributes()
    parsed.feed(text)
    assert {tag for tag, _ in parsed.found if tag == "style"} == set()
    assert all("src" in values for tag, values in parsed.found if tag == "script")
    for _, values in parsed.found:
        assert not [name for name in values if name == "style" or name.startswith("on")]
        for name in ("src", "href", "action", "hx-get"):
            assert (values.get(name) or "/")[0] in "/#"


def test_the_name_that_a_request_asks_by_is_checked(client: httpx.Client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"Host": "localhost:1"}).status_code == 200


def test_pages_before_there_is_an_index(tmp_path: Path, serve: Callable[..., Any]):
    with serve(tmp_path) as where, httpx.Client(base_url=where) as asking:
        assert "There is no index yet" in page(asking, "/", 503)
        with exclusive(tmp_path / "index" / ".building"):
            assert "The index is being built" in page(asking, "/", 503)
        assert "There is no index yet" in page(asking, "/", 503)


def test_a_cursor_stays_with_its_build_and_says_when_that_is_gone(
    tiny: Any, serve: Callable[..., Any], rebuild: Callable[[Path, str], None]
):
    from finecap.search.lance import LanceIndex

    home = tiny.new()
    rebuild(home, "1")
    index = LanceIndex(home / "index")
    with serve(home) as where, httpx.Client(base_url=where, timeout=60) as asking:
        ask = {"limit": 5}
        first = asking.get("/api/search", params=ask).json()
        old = index.live()
        rebuild(home, "2")
        new = index.live()
        deadline = 50
        while asking.get("/readyz").json()["build"] != new and deadline:
            deadline -= 1
            time.sleep(0.05)
        second = asking.get("/api/search", params={**ask, "cursor": first["next_cursor"]}).json()
        assert first["build"] == second["build"] == old != new
        assert second["hits"][0]["image"] != first["hits"][0]["image"]
        index.drop(old or "")
        gone = asking.get(
            "/api/search", params={**ask, "cursor": second["next_cursor"] or first["next_cursor"]}
        )
        assert gone.status_code == 410
        assert "built anew since" in gone.json()["error"]
        versions = asking.get(f"/api/images/{first['hits'][0]['image']}").json()["captions"]
        assert {said["model_version"] for said in versions if said["source"] == "model"} == {
            "1",
            "2",
        }
