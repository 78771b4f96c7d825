"""`make up` starts the search page as it starts the others, and stops it with its children."""

import socket
import time
from pathlib import Path

import httpx
import pytest

from dagster_project import up
from dagster_project.home import Home


@pytest.mark.slow
def test_the_search_page_waits_for_its_index_and_ends_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FINECAP_HOME", str(tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    home = Home(Path(up.__file__).resolve().parents[1], tmp_path)
    server = up._start(up._search(port), home)
    try:
        deadline = time.monotonic() + 240  # beside other work
        while server.poll() is None and time.monotonic() < deadline:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/", timeout=60)
            except httpx.ConnectError:
                time.sleep(0.2)
                continue
            assert "There is no index yet" in answer.text
            break
        else:
            pytest.fail(f"it does not answer; its exit code is {server.poll()}")
    finally:
        up._stop([server])
    assert server.poll() is not None
