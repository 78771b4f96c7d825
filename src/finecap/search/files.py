"""Durable small files, locks between processes, and the digest of a model's export.

What an index on one machine needs from its file system, and nothing of any engine.
"""

import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_BLOCK_BYTES = 1 << 20


@contextmanager
def exclusive(lock_file: Path) -> Generator[None]:
    """Hold the lock; another process that asks for it waits. A killed holder lets go of it."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace_text(path: Path, text: str) -> None:
    """Write the file whole or not at all, and have it on disk before its name points there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the folder's names (a rename just made) on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def export_digest(folder: Path) -> str:
    """Digest of the names and bytes of a model's export: what "the same model" means in serving.

    Raises:
        FileNotFoundError: there is no such folder, or it is empty.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise FileNotFoundError(f"model export {folder} does not exist or is empty")
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
