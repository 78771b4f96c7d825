"""Images of strangers are read in a process of their own: bounded in time, memory and pixels.

A decoder that hangs or is broken into takes a process down that holds nothing: it is ended and the
next image gets a new one. What comes back is upright RGB, never the bytes that were sent.
"""

import multiprocessing
import resource
import threading
import warnings
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from PIL import Image

from finecap.data.sent_images import Intake, sent_image
from finecap.data.transforms import ImageError, load_image
from finecap.server.refusals import Refused

MAX_SIDE = 2048
"""Pixels: larger images are scaled to it, more than any encoder here reads."""
_MEMORY_BYTES = 3 * 2**30
"""Address space of the process; 64 megapixels, the most that is read, take 0.5 GB."""
_START_S = 60

Decoded = tuple[int, int, bytes]
"""Width, height, RGB."""


class Decoder:
    """One process that reads images, one at a time; started when it is needed."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def decode(self, content: bytes) -> Image.Image:
        """The image in those bytes, upright RGB, `MAX_SIDE` at most.

        Raises:
            ImageError: they are no image, a broken one, or one too large.
            Refused: 422, it took too long or too much memory.
        """
        with self._lock:
            connection = self._connection or self._start()
            try:
                connection.send_bytes(content or b"\0")
                if not connection.poll(self._timeout_s):
                    self._end()
                    raise Refused(
                        422,
                        f"the image could not be read within {self._timeout_s:g} s",
                        "Send a smaller one",
                    )
                answer = cast("Decoded | str", connection.recv())
            except (EOFError, OSError) as error:
                self._end()
                raise Refused(
                    422, "reading the image failed: it is broken or needs too much memory"
                ) from error
        if isinstance(answer, str):
            raise ImageError(answer)
        width, height, rgb = answer
        return Image.frombytes("RGB", (width, height), rgb)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _start(self) -> Connection:
        # Spawned, not forked: a fork of a process with threads may hang on their locks.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        self._process = process
        theirs.close()
        if not ours.poll(_START_S):
            self._end()
            raise Refused(503, "the process that reads images did not start", retry_after_s=10)
        ours.recv()
        self._connection = ours
        return ours

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def _serve(connection: Connection) -> None:
    """Answer images until the other end is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    warnings.simplefilter("ignore")  # Pillow's remarks on what it reads all the same
    connection.send("ready")
    while True:
        try:
            content = connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        connection.send(_answer(content))


def _answer(content: bytes) -> Decoded | str:
    """The image, or why there is none."""
    try:
        image = load_image(cast("Any", sent_image(content, Intake())))
    except ImageError as error:
        return str(error)
    except MemoryError:
        return "the image needs too much memory"
    if max(image.size) > MAX_SIDE:
        image.thumbnail((MAX_SIDE, MAX_SIDE))
    return image.width, image.height, image.tobytes()
