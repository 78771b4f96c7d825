"""A registered model behind MLflow's own server, in a process of its own, asked over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 300.0


class Server:
    """Where to ask, and what it wrote so far."""

    def __init__(self, port: int, log: Path) -> None:
        self.address, self.log = f"http://127.0.0.1:{port}", log

    def ask(self, content: object, kind: str = "application/json") -> tuple[int, object]:
        """Status and answer to a request, which is sent as it is where it is bytes."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        asked = urllib.request.Request(  # noqa: S310  our own server
            f"{self.address}/invocations", data=body, headers={"Content-Type": kind}
        )
        try:
            with urllib.request.urlopen(asked, timeout=120) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read())

    def predictions(self, *items: object, **params: object) -> list[object]:
        """What it predicts of items."""
        status, answer = self.ask({"inputs": list(items), "params": params})
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer["predictions"]

    def refusal(self, content: object) -> str:
        """Why it refuses a request, which must be with status 400."""
        status, answer = self.ask(content)
        assert status == 400, answer
        assert isinstance(answer, dict)
        return str(answer["message"])

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/ping", timeout=5) as answer:  # noqa: S310
                return answer.status == 200
        except OSError:
            return False


@contextmanager
def serving(model: str, tracking_uri: str, log: Path, **environment: str) -> Iterator[Server]:
    """`mlflow models serve` of a model's address, until the block ends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model,
               "--env-manager", "local", "--port", str(port)]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uvicorn's, by name
    own = {"MLFLOW_TRACKING_URI": tracking_uri, "PATH": path}
    variables = {**os.environ, **own, **environment}
    server = Server(port, log)
    with log.open("wb") as output, subprocess.Popen(
        command, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + START_S
            while not server.is_up():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
