"""How much one asker may ask: requests and images by the minute, bytes of a body, and the token.

A token bucket per address (the kernel's, never a header's: headers can be made up).
"""

import hmac
import os
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterable, Callable, Mapping
from pathlib import Path

from finecap.server.refusals import Refused

TOKEN, TOKEN_FILE = "FINECAP_TOKEN", "FINECAP_TOKEN_FILE"
_MIN_TOKEN = 16
_ADDRESSES = 10_000


class TokenError(ValueError):
    """A token that cannot be used."""


class Rate:
    """At most so many a minute of each address, in bursts of as many."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_minute` 0: any number."""
        self._most = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens, when)

    def take(self, address: str) -> None:
        """Count one request.

        Raises:
            Refused: 429, with the seconds to wait.
        """
        if not self._most:
            return
        with self._lock:
            now = self._clock()
            left, when = self._left.pop(address, (float(self._most), now))
            left = min(self._most, left + (now - when) * self._most / 60)
            self._left[address] = (max(left - 1, 0.0) if left >= 1 else left, now)
            while len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)
        if left < 1:
            wait = int((1 - left) * 60 / self._most) + 1
            raise Refused(429, f"more than {self._most} requests a minute", f"Wait {wait} s", wait)


def token_in(environ: Mapping[str, str] = os.environ) -> str:
    """The token that captioning asks for, "" for none: from a variable or a file, never argv.

    Raises:
        TokenError: both are set, or it is too short to be a secret.
        FileNotFoundError: there is no such file.
    """
    said, file = environ.get(TOKEN, ""), environ.get(TOKEN_FILE, "")
    if said and file:
        raise TokenError(f"{TOKEN} and {TOKEN_FILE} are both set, expected one of them")
    token = Path(file).read_text(encoding="utf-8").strip() if file else said
    if (said or file) and len(token) < _MIN_TOKEN:
        raise TokenError(
            f"the token of {TOKEN_FILE if file else TOKEN} has {len(token)} characters, expected "
            f"{_MIN_TOKEN} or more"
        )
    return token


def check_token(expected: str, given: str) -> None:
    """Refuse, in constant time, a token that is not the one expected; "" expects none.

    Raises:
        Refused: 401.
    """
    if expected and not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise Refused(401, "captioning needs this server's token", "Ask whoever runs it")


async def body_of(stream: AsyncIterable[bytes], declared: str | None, most: int) -> bytes:
    """The body of a request, read no further than `most` bytes.

    Raises:
        Refused: 413, it is larger, or says that it will be.
    """
    too_large = Refused(413, f"the image is larger than {most / 1e6:g} MB", "Send a smaller one")
    if declared is not None and declared.isdigit() and int(declared) > most:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in stream:
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)
