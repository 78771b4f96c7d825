"""Pictures of the gallery as pages show them: small, from memory, and kept by browsers.

The file is the one that the index names for a key; no part of an address becomes part of a path.
"""

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from finecap.data.image_files import image_stat
from finecap.data.transforms import ImageError, load_image
from finecap.search.index import Row
from finecap.server.memory import Remembered
from finecap.server.refusals import Refused

SIDES = {"small": 320, "large": 1024}
"""Pixels of the longer side."""
_log = logging.getLogger("finecap.server")
_PLAIN = 256  # images this small stay PNG: drawn ones have sharp edges and few colours


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded picture."""

    content: bytes
    media_type: str
    etag: str


class Thumbnails:
    """Pictures by row, the last ones used in memory."""

    def __init__(self, root: Path, most: int) -> None:
        """`root`: the folder that relative paths of the index are in."""
        self._root = root
        self._has_told = False
        self._made = Remembered[tuple[str, int, int, str], Thumbnail](most)

    def of(self, row: Row, size: str = "small") -> Thumbnail:
        """The row's picture in one of the sizes of `SIDES`.

        Raises:
            Refused: 404, its file is gone or broken.
        """
        path = self._root / row.path
        try:
            bytes_, mtime_ns = image_stat(path)
            key = (str(path), mtime_ns, bytes_, size)
            return self._made.or_compute(key, lambda: encoded(load_image(path), SIDES[size]))
        except (OSError, ImageError) as error:
            self._tell(path, error)
            raise Refused(
                404,
                f"the file of image {row.image} cannot be read",
                "The index knows it, its data folder does not: see --root of finecap serve",
            ) from error

    def _tell(self, path: Path, why: Exception) -> None:
        """Say it to who started the server, too, once: it is seldom one picture alone."""
        if not self._has_told:
            self._has_told = True
            _log.warning(
                "no picture of %s: %s; image paths of the index are looked for in %s, expected the "
                "folder that the pipeline ran in: see --root",
                path.name,
                why,
                self._root.resolve(),
            )


def encoded(image: Image.Image, side: int) -> Thumbnail:
    """The image with a longer side of at most `side`."""
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    kind = "PNG" if max(image.size) <= _PLAIN else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, kind, **({} if kind == "PNG" else {"quality": 88}))
    content = buffer.getvalue()
    etag = '"' + hashlib.blake2b(content, digest_size=12).hexdigest() + '"'
    return Thumbnail(content, f"image/{kind.lower()}", etag)
