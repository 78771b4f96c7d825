"""The builds that answer: the live one, and those that readers of older pages still hold.

Which build is live is looked up at most twice a second, so a promotion or a rollback shows at once
and costs requests nothing. Each request names its build from then on: no page mixes two.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from finecap.search.engines import open_index
from finecap.search.index import CaptionIndex, Manifest, NoSuchBuild
from finecap.search.searcher import INDEX
from finecap.server.refusals import Refused

_LOOK_EVERY_S = 0.5


class Builds:
    """Finished builds of one index, for many readers at once."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is opened before it is asked for: there may be no index yet."""
        self._folder = home / INDEX
        self._clock = clock
        self._lock = threading.Lock()
        self._index: CaptionIndex = open_index(self._folder)
        self._live: Manifest | None = None
        self._looked = float("-inf")

    @property
    def index(self) -> CaptionIndex:
        """The index; always ask it for a build by name."""
        return self._index

    def live(self) -> Manifest:
        """What the live build says of itself.

        Raises:
            NoSuchBuild: nothing is live.
        """
        with self._lock:
            if self._clock() - self._looked >= _LOOK_EVERY_S:
                self._look()
                self._looked = self._clock()
            if self._live is None:
                raise NoSuchBuild("no build is live: run the pipeline to its index")
            return self._live

    def named(self, build_id: str) -> Manifest:
        """What the build that a cursor or an address names says of itself.

        Raises:
            Refused: 410, it was dropped since.
        """
        try:
            live = self.live()
            return live if live.build_id == build_id else self._index.manifest(build_id)
        except NoSuchBuild as error:
            raise gone(build_id) from error

    def is_held(self, build_id: str) -> bool:
        """Whether the build still exists."""
        try:
            self._index.manifest(build_id)
        except NoSuchBuild:
            return False
        return True

    def is_building(self) -> bool:
        """Whether an index is being built right now."""
        return self._index.is_building()

    def _look(self) -> None:
        live = self._index.live()
        if live is None:
            self._live = None
        elif self._live is None or self._live.build_id != live:
            # Opened anew, so that handles of builds that were dropped since are let go of.
            self._index = open_index(self._folder)
            self._live = self._index.manifest(live)


def gone(build_id: str) -> Refused:
    """The refusal of an address whose build was dropped."""
    return Refused(
        410,
        f"build {build_id} is no longer kept: the index was built anew since",
        "Search again from the first page",
    )
