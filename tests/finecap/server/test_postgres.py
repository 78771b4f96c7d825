"""The server on the engine for many machines: the same answers, and an engine that goes away."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from finecap.search.engines import URL_VARIABLE
from tests.finecap.search.postgres_server import PostgresServer, running_server


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def shared(
    database: PostgresServer, tiny: SimpleNamespace, rebuild: Any, serve: Any
) -> Iterator[httpx.Client]:
    """Asks a server whose index, the same gallery's, is in that database."""
    home: Path = tiny.new()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(URL_VARIABLE, database.migrated())
        rebuild(home, "1")
        with serve(home) as where, httpx.Client(base_url=where, timeout=60) as asking:
            yield asking
    assert not (home / "index").exists()


ASKED = [
    {"q": "boat", "mode": "words"},
    {"q": "boat", "mode": "picture"},
    {"q": "red boat"},
    {"has": "colour:red"},
]


@pytest.mark.slow
@pytest.mark.parametrize("values", ASKED)
def test_the_same_is_found_as_in_the_folder(
    shared: httpx.Client, client: httpx.Client, values: dict[str, str]
):
    asked = {**values, "limit": 100}
    ours, theirs = (one.get("/api/search", params=asked).json() for one in (shared, client))
    assert ours["total"] == theirs["total"] > 0
    hits = [{hit["image"]: hit for hit in answer["hits"]} for answer in (ours, theirs)]
    assert hits[0].keys() == hits[1].keys()
    for image, hit in hits[0].items():
        assert hit["caption"] == hits[1][image]["caption"]
        if hit["vector_score"] is not None:
            assert hit["vector_score"] == pytest.approx(hits[1][image]["vector_score"], abs=2e-3)


@pytest.mark.slow
def test_chips_and_images_are_the_same_as_in_the_folder(shared: httpx.Client, client: httpx.Client):
    assert shared.get("/api/facets").json()["facets"] == client.get("/api/facets").json()["facets"]
    image = client.get("/api/search", params={"q": "boat"}).json()["hits"][0]["image"]
    ours, theirs = (one.get(f"/api/images/{image}").json() for one in (shared, client))
    assert ours["captions"] == theirs["captions"]
    assert ours["attributes"] == theirs["attributes"]


@pytest.mark.slow
def test_a_database_that_is_killed_is_named_until_it_is_back(
    shared: httpx.Client, database: PostgresServer
):
    asked = {"q": "boat", "mode": "words"}
    before = shared.get("/api/search", params=asked).json()
    database.kill()
    try:
        answer = shared.get("/api/search", params={**asked, "limit": 7})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert "the index cannot be reached" in answer.json()["error"]
        assert shared.get("/readyz").status_code == 503
        assert shared.get("/healthz").status_code == 200
        page = shared.get("/", params={"q": "boats"})
        assert (page.status_code, "cannot be reached" in page.text) == (503, True)
    finally:
        database.restart()
    assert shared.get("/api/search", params=asked).json()["hits"] == before["hits"]
    assert shared.get("/readyz").status_code == 200
