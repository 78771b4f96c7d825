"""Real stores on this machine for tests: one that speaks S3, one that speaks SSH's file transfer.

Both are rclone, which shares no code with the clients that are tested. Secrets reach it by its
environment. What is stored lies as plain files in a folder, where a test may lose or spoil it.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 60.0
SEEN_S = 0.2
"""Until what a test changed on disk is seen."""
_RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent))


@dataclass(frozen=True)
class Store:
    """A store that listens, until its block ends."""

    port: int
    user: str
    secret: str
    folder: Path  # of what is stored; a folder in it is a bucket

    @property
    def endpoint(self) -> str:
        """Where S3 is spoken."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What S3's clients and MLflow's server are told."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.user,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    @contextmanager
    def without(self, content: bytes, instead: bytes | None = None) -> Generator[None]:
        """The file that holds it is gone, or holds something else; whole again after the block."""
        files = (file for file in self.folder.rglob("*") if file.is_file())
        (stored,) = [file for file in files if file.read_bytes() == content]
        stored.unlink() if instead is None else stored.write_bytes(instead)
        time.sleep(2 * SEEN_S)
        try:
            yield
        finally:
            stored.write_bytes(content)
            time.sleep(2 * SEEN_S)


@contextmanager
def s3(folder: Path, *buckets: str) -> Generator[Store]:
    """An S3-compatible store with these buckets."""
    for bucket in buckets:
        (folder / bucket).mkdir(parents=True)
    store = Store(_free_port(), "finecap-key", secrets.token_hex(16), folder)
    with _serving("s3", store, RCLONE_AUTH_KEY=f'"{store.user},{store.secret}"'):
        yield store


@contextmanager
def sftp(folder: Path, public_key: Path) -> Generator[Store]:
    """A server of SSH's file transfer, and of nothing else, for who has the key to that one."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(_free_port(), "finecap", "", folder)
    with _serving("sftp", store, RCLONE_AUTHORIZED_KEYS=str(public_key)):
        yield store


@contextmanager
def _serving(protocol: str, store: Store, **told: str) -> Generator[None]:
    assert _RCLONE is not None, "rclone is not installed: `.ci/setup`"
    command = [
        *(_RCLONE, "serve", protocol, str(store.folder), "--addr", f"127.0.0.1:{store.port}"),
        # No settings or cache of the user's. At 0 s it would forget without pause.
        *("--dir-cache-time", f"{SEEN_S}s", "--poll-interval", "0s", "--config", os.devnull),
        *("--cache-dir", str(store.folder.with_name(f"{store.folder.name}.cache"))),
    ]
    log = store.folder.with_name(f"{store.folder.name}.log")
    with log.open("ab") as said, subprocess.Popen(
        command, env={**os.environ, **told}, stdout=said, stderr=said, start_new_session=True
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + START_S
            while not _listens(store.port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
