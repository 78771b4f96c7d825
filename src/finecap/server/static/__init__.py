"""Files that pages load, read once: addresses are looked up among them and open nothing."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is answered."""

    content: bytes
    media_type: str
    etag: str


@cache
def static_files() -> dict[str, StaticFile]:
    """All of them, by name."""
    folder = Path(__file__).parent
    found: dict[str, StaticFile] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            etag = '"' + hashlib.blake2b(content, digest_size=12).hexdigest() + '"'
            media_type = f"{_TYPES[path.suffix]}; charset=utf-8"
            found[path.name] = StaticFile(content, media_type, etag)
    return found
