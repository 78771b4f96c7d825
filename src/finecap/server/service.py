"""All that answers requests, made once for a server: index, models, decoder, limits, counters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.requests import Request

from finecap.config import ServeConfig
from finecap.data.transforms import ImageError
from finecap.search.index import Manifest
from finecap.server.answers import Answers
from finecap.server.builds import Builds
from finecap.server.decoding import Decoder
from finecap.server.kept import Kept, Sent
from finecap.server.limits import Rate, check_token
from finecap.server.metrics import Metrics
from finecap.server.models import Models
from finecap.server.refusals import Refused
from finecap.server.thumbnails import Thumbnails
from finecap.server.uploads import upload_of

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_IN_LINE = 16
"""Images being captioned or waiting for it; one more is told to come back."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """An image that was sent, and by whom it was captioned."""

    sent: Sent
    manifest: Manifest


class Service:
    """The parts of one server."""

    def __init__(self, home: Path, root: Path, config: ServeConfig, token: str = "") -> None:
        self.config = config
        self.metrics = Metrics()
        self.builds = Builds(home)
        self.models = Models(home, config)
        self.kept = Kept(config.uploads_kept)
        self.answers = Answers(self.builds, self.models, self.kept, config)
        self.thumbnails = Thumbnails(root, config.thumbnails_kept)
        self.decoder = Decoder(config.decode_timeout_s)
        self.rate = Rate(config.requests_per_minute)
        self.token = token
        self._image_rate = Rate(config.captions_per_minute)
        self._searching = CapacityLimiter(config.workers)
        self._captioning = CapacityLimiter(1)
        self._in_line = 0

    async def search(
        self,
        ask: Callable[Parameters, Result],
        *values: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        """What `ask` returns, computed beside the event loop among `config.workers` at once."""
        return await to_thread.run_sync(partial(ask, *values, **named), limiter=self._searching)

    async def caption(self, request: Request, beams: int = 1) -> Captioned:
        """Caption the image of a request, and keep what is known of it.

        Raises:
            Refused: 400, 401, 413, 422, 429 or 503, says which and why.
            ImageError: what was sent is no image.
            NoSuchBuild: nothing is live, so that there is no captioner.
        """
        try:
            captioned = await self._captioned(request, beams)
        except (Refused, ImageError) as error:
            status = error.status if isinstance(error, Refused) else 400
            self.metrics.refused.labels(str(status)).inc()
            raise
        self.metrics.captioned.inc()
        return captioned

    async def _captioned(self, request: Request, beams: int) -> Captioned:
        self._image_rate.take(request.client.host if request.client else "")
        bearer = request.headers.get("authorization", "")
        has_bearer = bearer[:7].lower() == "bearer "
        if has_bearer:
            check_token(self.token, bearer[7:].strip())
        upload = await upload_of(request, int(self.config.upload_mb * 1e6))
        if not has_bearer:
            check_token(self.token, upload.token)
        if self._in_line >= _IN_LINE:
            raise Refused(503, "too many images are waiting", "Send it again in a moment", 5)
        self._in_line += 1
        try:
            return await to_thread.run_sync(
                self._read, upload.content, beams, limiter=self._captioning
            )
        finally:
            self._in_line -= 1

    def _read(self, content: bytes, beams: int) -> Captioned:
        """Decode, caption and embed one image."""
        manifest = self.builds.live()
        image: Image.Image = self.decoder.decode(content)
        said = self.models.caption(manifest, image, beams)
        vector = self.models.image_vector(manifest, image)
        return Captioned(self.kept.keep(image, said, vector, manifest.encoder.digest), manifest)
