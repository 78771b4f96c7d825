"""Images that were sent, as far as a page shows them again: a caption, a vector, a thumbnail.

In memory alone and a bounded number; the image itself is not kept. An address that names one works
until it had to make room, and then says so.
"""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from finecap.search.index import Vector
from finecap.server.memory import Remembered
from finecap.server.refusals import Refused

UPLOAD = "upload:"
_SIDE = 320  # pixels


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known of an image that was sent."""

    key: str  # upload:ID
    caption: str
    vector: Vector  # (D,)
    thumbnail: bytes  # JPEG
    encoder_digest: str


class Kept:
    """The images sent last."""

    def __init__(self, most: int) -> None:
        self._sent = Remembered[str, Sent](most)

    def keep(self, image: Image.Image, caption: str, vector: Vector, encoder_digest: str) -> Sent:
        """Keep what is known of an image, named by its pixels."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=12, salt=_salt(image))
        key = UPLOAD + digest.hexdigest()
        small = image.copy()
        small.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=88)
        return self._sent.put(key, Sent(key, caption, vector, buffer.getvalue(), encoder_digest))

    def get(self, key: str) -> Sent:
        """What is known of the image of that key.

        Raises:
            Refused: 410, it is not kept, or never was.
        """
        sent = self._sent.get(key)
        if sent is None:
            raise Refused(
                410, "the image that this address searches with is no longer kept", "Send it again"
            )
        return sent


def _salt(image: Image.Image) -> bytes:
    """Tells images of equal bytes and other sides apart."""
    return image.width.to_bytes(8, "little") + image.height.to_bytes(8, "little")
