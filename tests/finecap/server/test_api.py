"""REST over a real server: what is asked is answered, from one build, with scores and reasons."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

SEARCH = "/api/search"


def found(client: httpx.Client, **values: Any) -> dict[str, Any]:
    answer = client.get(SEARCH, params=values)
    assert answer.status_code == 200, answer.text
    return answer.json()


def images(answer: dict[str, Any]) -> list[str]:
    return [hit["image"] for hit in answer["hits"]]


def test_words_find_captions_that_say_them(client: httpx.Client):
    answer = found(client, q="boat", mode="words")
    assert answer["hits"]
    for hit in answer["hits"]:
        assert "boat" in hit["caption"]
        assert hit["matched_words"] == ["boat"]
        assert (hit["words_by"], hit["vector_rank"]) == ("bm25", None)
    assert answer["total"] == len(answer["hits"])


def test_hybrid_shows_both_rankings_and_the_picture_alone_one(client: httpx.Client):
    first = found(client, q="boat")["hits"][0]
    assert None not in (first["bm25_rank"], first["bm25_score"])
    assert None not in (first["vector_rank"], first["vector_score"])
    seen = found(client, q="boat", mode="picture")["hits"]
    assert [hit["vector_rank"] for hit in seen[:3]] == [1, 2, 3]
    assert {hit["bm25_rank"] for hit in seen} == {None}


def test_a_weight_moves_the_order_from_words_to_picture(client: httpx.Client):
    words = images(found(client, q="boat sea", mode="words", limit=5))
    assert images(found(client, q="boat sea", picture_weight=0, limit=5))[: len(words)] == words
    picture = images(found(client, q="boat sea", mode="picture", limit=5))
    assert images(found(client, q="boat sea", picture_weight=1, limit=5)) == picture


def test_conditions_and_chips_leave_the_same_images(client: httpx.Client):
    value = next(iter(client.get("/api/facets").json()["facets"]["colour"]))
    chip = found(client, has=f"colour:{value}", limit=100)
    assert chip["hits"]
    assert all(value in hit["attributes"]["colour"] for hit in chip["hits"])
    assert images(found(client, q=f"color:{value}", limit=100)) == images(chip)
    rest = found(client, without=f"colour:{value}", limit=100)
    assert not any(value in hit["attributes"]["colour"] for hit in rest["hits"])
    assert chip["total"] + rest["total"] == len(images(chip)) + len(images(rest)) == 48


def test_facets_count_what_a_search_finds(client: httpx.Client):
    facets = client.get("/api/facets", params={"q": "boat"}).json()["facets"]
    for value, count in facets["colour"].items():
        answer = found(client, q="boat", mode="words", has=f"colour:{value}", limit=100)
        assert answer["total"] == len(answer["hits"]) == count


@pytest.mark.parametrize("mode", ["hybrid", "words", "picture"])
def test_pages_hold_every_image_once_and_agree_with_one_long_page(client: httpx.Client, mode: str):
    whole = images(found(client, q="a boat in the sea", mode=mode, limit=100))
    paged, cursor = list[str](), ""
    while cursor is not None:
        answer = found(client, q="a boat in the sea", mode=mode, limit=7, cursor=cursor)
        paged += images(answer)
        cursor = answer["next_cursor"]
    assert paged == whole
    assert len(set(paged)) == len(paged)


def test_more_like_this_leaves_the_image_itself_out(client: httpx.Client):
    image = images(found(client))[3]
    for mode in ("hybrid", "words", "picture"):
        answer = found(client, like=image, mode=mode, limit=20)
        assert image not in images(answer)
        assert len(answer["hits"]) > 3


def test_an_image_that_is_sent_is_captioned_and_searches(client: httpx.Client, png: bytes):
    by_body = client.post("/api/caption", content=png)
    by_form = client.post("/api/caption", files={"image": ("../../x.exe", png, "text/html")})
    assert by_body.status_code == by_form.status_code == 200
    assert by_body.json() == by_form.json()
    assert len(by_body.json()["caption"].split()) > 2
    answer = found(client, like=by_body.json()["like"], mode="picture")
    assert answer["hits"][0]["vector_score"] > 0.5


def test_an_image_of_the_gallery_finds_itself_when_it_is_sent(client: httpx.Client, tiny: Any):
    image = images(found(client))[5]
    sent = client.post("/api/caption", content=(tiny.folder / image).read_bytes()).json()
    assert sent["caption"] == client.get(f"/api/images/{image}").json()["caption"]
    first = found(client, like=sent["like"], mode="picture")["hits"][0]
    assert first["image"] == image
    assert first["vector_score"] == pytest.approx(1, abs=2e-3)


def test_an_image_tells_all_that_was_said_of_it(client: httpx.Client):
    image = images(found(client))[1]
    told = client.get(f"/api/images/{image}").json()
    assert told["image"] == image
    assert [said["is_current"] for said in told["captions"]].count(True) == 1
    assert {said["source"] for said in told["captions"]} == {"model", "human"}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/search?q=" + "x" * 2_001, 422, "at most 2000"),
        ("/api/search?q=-", 200, ""),
        ("/api/search?q=-night", 400, "only a field can be excluded"),
        ("/api/search?q=kind:red", 400, "unknown field"),
        ("/api/search?has=red", 400, "is no condition"),
        ("/api/search?q=boat&limit=0", 422, "limit"),
        ("/api/search?q=boat&limit=101", 422, "limit"),
        ("/api/search?q=boat&mode=magic", 422, "mode"),
        ("/api/search?q=boat&picture_weight=2", 422, "picture_weight"),
        ("/api/search?q=boat&picture_weight=nan", 422, "picture_weight"),
        ("/api/search?q=boat&cursor=abc", 400, "cursor is broken"),
        ("/api/search?like=images/none.png", 404, "no image"),
        ("/api/search?like=upload:none", 410, "no longer kept"),
        ("/api/images/images/none.png", 404, "no image"),
        ("/api/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, ""),
        ("/api/images//etc/passwd", 404, "no image"),
        ("/api/nothing", 404, ""),
    ],
)
def test_what_cannot_be_answered_says_why(client: httpx.Client, path: str, status: int, says: str):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert says in answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "query",
    ["", "the of a", '"unclosed', "'; DROP TABLE captions; --", "\U0001f6a4", "x", "%00", "(((",
     "a" * 2_000, "AND OR NOT", "caption:*", "\\", "boat^9 ~2", "{{7*7}}", "red\u202eboat"],
)  # fmt: skip
def test_odd_queries_are_answered_or_refused_clearly(client: httpx.Client, query: str):
    for mode in ("words", "hybrid"):
        answer = client.get(SEARCH, params={"q": query, "mode": mode})
        assert answer.status_code in {200, 400}, answer.text


def test_no_path_of_this_machine_is_told(client: httpx.Client, gallery_home: Path, tiny: Any):
    texts = [client.get(path).text for path in ("/", SEARCH, "/api/search?q=boat", "/metrics")]
    texts.append(client.get("/api/images/" + images(found(client))[0]).text)
    for text in texts:
        assert str(gallery_home) not in text
        assert str(tiny.folder) not in text


def test_health_readiness_and_counters(client: httpx.Client):
    assert client.get("/healthz").json()["status"] == "ok"
    ready = client.get("/readyz").json()
    assert ready["status"] == "ok"
    client.get("/api/search?q=boat")
    counters = client.get("/metrics").text
    assert f'finecap_live_rows{{build="{ready["build"]}"}} 48.0' in counters
    assert 'finecap_requests_total{method="GET",route="/api/search",status="200"}' in counters


def test_before_there_is_an_index_it_says_so(tmp_path: Path, serve: Callable[..., Any]):
    with serve(tmp_path) as where, httpx.Client(base_url=where) as asking:
        assert asking.get("/healthz").status_code == 200
        assert asking.get("/readyz").status_code == 503
        answer = asking.get("/api/search?q=boat")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert "make run" in answer.json()["error"]
        assert asking.post("/api/caption", content=b"x").status_code == 503


def test_a_token_guards_captioning_alone(gallery_home: Path, serve: Callable[..., Any], png: bytes):
    secret = "a-token-of-24-characters"  # noqa: S105 - not one
    with serve(gallery_home, secret) as where, httpx.Client(base_url=where, timeout=60) as asking:
        assert asking.get("/api/search?q=boat&mode=words").status_code == 200
        refused = asking.post("/api/caption", content=png)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        wrong = {"Authorization": "Bearer wrong"}
        assert asking.post("/api/caption", content=png, headers=wrong).status_code == 401
        right = {"Authorization": f"Bearer {secret}"}
        assert asking.post("/api/caption", content=png, headers=right).status_code == 200
        assert asking.post("/search-by-image", files={"image": png}).status_code == 401
        form = {"files": {"image": png}, "data": {"token": secret}}
        assert asking.post("/search-by-image", **form).status_code == 303


def test_limits_answer_429_and_say_how_long(gallery_home: Path, serve: Callable[..., Any]):
    settings = {"requests_per_minute": 3, "captions_per_minute": 1}
    with serve(gallery_home, **settings) as where, httpx.Client(base_url=where) as asking:
        statuses = [asking.get("/api/search?mode=words&q=boat").status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        limited = asking.get("/api/search")
        assert int(limited.headers["retry-after"]) > 0
        assert limited.headers["content-type"] == "application/json"
        assert asking.get("/healthz").status_code == 200


def test_an_image_larger_than_allowed_is_refused(gallery_home: Path, serve: Callable[..., Any]):
    with serve(gallery_home, upload_mb=0.001) as where, httpx.Client(base_url=where) as asking:
        answer = asking.post("/api/caption", content=b"x" * 1_001)
        assert (answer.status_code, "larger than 0.001 MB" in answer.text) == (413, True)
