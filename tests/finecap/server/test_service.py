"""Images that are sent wait their turn, and not too many of them."""

import asyncio
from pathlib import Path

import pytest
from starlette.requests import Request

from finecap.config import ServeConfig
from finecap.server.refusals import Refused
from finecap.server.service import Service


def request(body: bytes) -> Request:
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("c", 1)}
    return Request(scope, receive)


def test_refusals_are_counted_by_status(tmp_path: Path):
    service = Service(tmp_path, tmp_path, ServeConfig(captions_per_minute=1))
    for status in (400, 429):
        with pytest.raises(Refused) as refused:
            asyncio.run(service.caption(request(b"")))
        assert refused.value.status == status
        assert f'refused_total{{status="{status}"}} 1.0' in service.metrics.text().decode()


def test_when_too_many_wait_the_next_is_told_to_come_back(
    gallery_home: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("finecap.server.service._IN_LINE", 2)
    service = Service(gallery_home, gallery_home, ServeConfig())

    async def three() -> list[object]:
        asking = (service.caption(request(png)) for _ in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    found = asyncio.run(three())
    service.decoder.close()
    refused = [one for one in found if isinstance(one, Refused)]
    assert [(one.status, one.retry_after_s) for one in refused] == [(503, 5)]
