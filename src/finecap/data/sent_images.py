"""Images that others send: base64 in a request, or a path inside the one folder that is open.

Nothing sent is trusted. A few kilobytes of PNG can ask for gigabytes of pixels, a path can lead
anywhere, and a link out of an open folder is a path too: whatever is wrong is refused before any of
it is read, with a reason that tells the sender nothing of this machine. What comes out is what
`transforms.load_image` reads, upright and as RGB like every other image.

Why paths are resolved before they are compared: `..` and links are then seen through. Someone who
can change the folder itself while it is read is not kept out; the folder is its owner's.
"""

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

import numpy as np
from PIL import Image

from finecap.data.image_formats import UnknownFormatError, open_image
from finecap.data.transforms import ImageError, ImageSource

MAX_BYTES = 32 * 2**20
"""Of one encoded image."""
MAX_PIXELS = 64_000_000
"""Of one decoded image: 8,000 x 8,000, some 200 MB as RGB."""
MAX_PATH = 1024
"""Characters; longer text is no path."""
_SHOWN = 40  # characters of what was sent, in a message


@dataclass(frozen=True)
class Intake:
    """What is taken from whoever sends images.

    Attributes:
        folder: the folder that paths, as text, are read in; None: none is open.
        is_trusted: text may be any path of this machine: the sender runs in this process.
    """

    folder: Path | None = None
    is_trusted: bool = False


def open_folder(name: str | None) -> Path | None:
    """The folder that is open to paths; None where none is named.

    Raises:
        ImageError: there is no such folder: a server that starts so would refuse every path.
    """
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ImageError(f"FINECAP_IMAGE_FOLDER is {name}, expected an existing folder")
    return folder.resolve()


def sent_image(item: object, intake: Intake) -> ImageSource:
    """What `load_image` reads, of one image as it was sent.

    Args:
        item: a data URL, base64 or a path as text; or, from Python, bytes, a `Path`, an array or a
            Pillow image.
        intake: what is taken.

    Raises:
        ImageError: it is missing, no image, too large, or lies outside the open folder.
    """
    if isinstance(item, str):
        return _from_text(item.strip(), intake)
    if isinstance(item, bytes):
        return _checked(item)
    if isinstance(item, Path | np.ndarray | Image.Image):
        return item
    raise ImageError(
        f"is {type(item).__name__}, expected text: base64, a data URL (data:image/png;base64,...), "
        "or a path"
    )


def _from_text(text: str, intake: Intake) -> ImageSource:
    """An image of base64 or of a path; base64 first, since a JPEG's begins like a path: /9j/."""
    if not text:
        raise ImageError("is empty, expected base64 of an image, or a path")
    if text[:5].lower() == "data:":
        return _checked(_decoded(_payload(text)))
    try:
        return _checked(_decoded(text))
    except ImageError as error:
        if len(text) > MAX_PATH or not text.isprintable():
            raise
        return _at_path(text, intake, error)


def _payload(url: str) -> str:
    """The base64 of a data URL."""
    head, comma, payload = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise ImageError(f"is the data URL {_shown(url)}, expected data:image/png;base64,...")
    return payload


def _decoded(text: str) -> bytes:
    """The bytes that base64 stands for; line ends in it are passed over."""
    if len(text) > MAX_BYTES * 3 // 2:
        raise ImageError(
            f"is too large: {len(text)} characters, expected {MAX_BYTES} bytes at most"
        )
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"{_shown(text)} is not base64 ({error})") from error


def _checked(content: bytes) -> bytes:
    """The content of an image file, if its head says a format we read and a size we take."""
    if len(content) > MAX_BYTES:
        raise ImageError(f"is too large: {len(content)} bytes, expected {MAX_BYTES} at most")
    try:
        with open_image(content) as image:
            width, height = image.size
    except UnknownFormatError as error:
        raise ImageError(f"{len(content)} bytes are no image: {error}") from error
    except Exception as error:  # Pillow raises a dozen kinds on broken heads
        raise ImageError(f"{len(content)} bytes are a broken image: {error}") from error
    if width * height > MAX_PIXELS:
        size = f"{width} x {height} pixels"
        raise ImageError(f"is too large: {size}, expected {MAX_PIXELS // 10**6} million at most")
    return content


def _at_path(text: str, intake: Intake, not_encoded: ImageError) -> ImageSource:
    """The image at a path, if the sender may read it."""
    if intake.is_trusted:
        return Path(text)
    if intake.folder is None:
        raise ImageError(f"{not_encoded}, and no folder is open to paths") from not_encoded
    path = _inside(intake.folder, text)
    if path is None:
        raise ImageError(f"path {_shown(text)} lies outside the folder that is open to paths")
    try:
        content = _content(path)
    except OSError as error:
        why = error.strerror or "it is no file"
        raise ImageError(f"{not_encoded}; as a path it cannot be read: {why}") from error
    return _checked(content)


def _inside(folder: Path, text: str) -> Path | None:
    """Where the path leads once `..` and links are followed; None if out of the folder."""
    root = folder.resolve()
    try:
        path = (root / text).resolve()
    except (OSError, RuntimeError):  # links in a circle
        return None
    return path if path.is_relative_to(root) else None


def _content(path: Path) -> bytes:
    """The bytes of a regular file, as many as an image may have and one more."""
    # Non-blocking, or a named pipe would be waited for; no link may have come in between.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _shown(text: str) -> str:
    """What was sent, as far as a message needs it."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
