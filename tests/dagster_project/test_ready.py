"""Whether a server answers is told from its answer alone."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from dagster_project.ready import is_ready


class Pages(BaseHTTPRequestHandler):
    """Well at /health, not elsewhere."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def place() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def free() -> str:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{asked.getsockname()[1]}"


def test_page_that_answers_is_ready_and_one_that_is_not_well_is_not(place: str):
    assert is_ready(f"http://{place}/health")
    assert not is_ready(f"http://{place}/other")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_nobody_there_is_not_ready(scheme: str, free: str):
    assert not is_ready(f"{scheme}://{free}")


def test_code_server_is_ready_when_it_says_that_it_serves(free: str):
    server, servicer = grpc.server(ThreadPoolExecutor()), health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(free)
    server.start()
    try:
        assert not is_ready(f"grpc://{free}")
        servicer.set("DagsterApi", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert not is_ready(f"grpc://{free}")
        servicer.set("DagsterApi", health_pb2.HealthCheckResponse.SERVING)
        assert is_ready(f"grpc://{free}")
    finally:
        server.stop(None).wait()


def test_other_addresses_are_refused():
    with pytest.raises(ValueError, match="expected http://HOST:PORT/PATH or grpc://HOST:PORT"):
        is_ready("postgresql://host")
