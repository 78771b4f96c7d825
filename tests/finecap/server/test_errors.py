"""A refusal is JSON below /api and a page elsewhere; a failure tells nothing of this machine."""

import json
import logging

import pytest
from starlette.requests import Request

from finecap.search.index import IndexRefused
from finecap.server.errors import answer_failure, answer_refusal
from finecap.server.refusals import Refused


def request(path: str, query: bytes = b"") -> Request:
    return Request(
        {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": []}
    )


def test_below_api_a_refusal_is_json_with_its_headers():
    answer = answer_refusal(request("/api/search"), Refused(429, "too fast", "Wait 3 s", 3))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert json.loads(bytes(answer.body)) == {"error": "too fast. Wait 3 s"}


def test_a_page_offers_the_query_again():
    answer = answer_refusal(request("/", b"q=kind%3A%3Cb%3E"), Refused(400, "unknown field"))
    text = bytes(answer.body).decode()
    assert "Unknown field" in text
    assert 'value="kind:&lt;b&gt;"' in text


def test_where_the_models_do_not_fit_words_are_offered():
    answer = answer_refusal(request("/", b"q=red+boat"), IndexRefused("/home/secret is not"))
    text = bytes(answer.body).decode()
    assert answer.status_code == 503
    assert 'href="/?q=red+boat&amp;balance=0"' in text
    assert "secret" not in text


def test_a_failure_goes_to_the_log_alone(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR, "finecap.server"):
        answer = answer_failure(request("/api/search"), RuntimeError("/home/secret broke"))
    assert answer.status_code == 500
    assert b"secret" not in bytes(answer.body)
    assert "/home/secret broke" in caplog.text
