"""An MLflow server as a team shares one: SQLite behind it, artifacts through it, one worker."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

START_S = 300.0


class MlflowServer:
    """A server on a port of its own, which may be killed and started again.

    Args:
        folder: of its database, its artifacts and its log.
        database: another than the folder's.
        told: variables of its own, such as where else artifacts go.
    """

    def __init__(self, folder: Path, database: str = "", **told: str) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.folder = folder
        self.address = f"http://127.0.0.1:{self.port}"
        self.artifacts = folder / "artifacts"
        self._database = database or f"sqlite:///{folder / 'mlflow.db'}"
        self._told = {"MLFLOW_ARTIFACTS_DESTINATION": str(self.artifacts), **told}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers."""
        log = self.folder / "server.log"
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--backend-store-uri", self._database, "--port", str(self.port)),
        ]
        own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = {**os.environ, **own, **self._told}
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=stream, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """As `kill -9` of it and its worker."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it take calls and say nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5):  # noqa: S310
                return True
        except OSError:
            return False
