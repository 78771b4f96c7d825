"""A real server on a real index of the tiny world: trained captioner, encoder, hostile captions."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

HOSTILE = "<script>alert(1)</script> & a \"red\" 'boat' <img src=x onerror=alert(2)>"


def build_home(tiny: SimpleNamespace, home: Path, model_version: str = "1") -> None:
    """A build of the tiny gallery in `home`, live, its captioner and encoder exported there."""
    from finecap.config import CaptionsConfig, IndexConfig
    from finecap.log import silent
    from finecap.models.export import ENCODER, export_pair
    from finecap.search.associations import Associations, references_of
    from finecap.search.build import build_index, live_build, promote_build
    from finecap.search.gallery import caption_gallery, read_gallery
    from finecap.search.index import ModelReference

    pair, captions = home / "models" / "pair", home / "captions"
    if not pair.is_dir():
        export_pair(tiny.mle, tiny.encoder, pair)
        captions.mkdir()
        md5s = {record.image: record.image for record in tiny.records}
        config = CaptionsConfig(threads=1)
        caption_gallery(
            pair, tiny.folder, tiny.records, md5s, config, captions, silent, model_version="1"
        )
    gallery = read_gallery(captions)
    table = gallery.table.assign(model_version=model_version, variant="mle")
    table.loc[0, "caption"] = HOSTILE
    written = home / f"said-{model_version}.parquet"
    table.to_parquet(written)
    images = list(table["image"])
    references = references_of(tiny.records)
    before = live_build(home / "index")
    manifest = build_index(
        written,
        gallery.vectors,
        images,
        home / "index",
        captioner=ModelReference(name="captioner", version=model_version, path="models/pair"),
        encoder=ModelReference(name="encoder", version="1", path=f"models/pair/{ENCODER}"),
        data_md5="d",
        data_folder=str(tiny.folder),
        created_at=f"2026-01-0{model_version}",
        config=IndexConfig(min_recall=0, recall_queries=2),
        log=silent,
        associations=Associations({image: references[image] for image in images}),
    )
    promote_build(home / "index", manifest.build_id, expect=before)


@contextmanager
def serving(home: Path, token: str = "", **settings: Any) -> Generator[str]:
    """The address of a server on a free port of this machine, ended afterwards."""
    from finecap.config import ServeConfig
    from finecap.server.app import create_app, server_of

    config = ServeConfig.model_validate({"captions_per_minute": 0, "page_size": 10, **settings})
    server = server_of(create_app(home, home, config, token), config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
        )
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def gallery_home(tiny: SimpleNamespace) -> Path:
    """A home folder with a live build of the tiny gallery; not to be changed."""
    home = tiny.new()
    build_home(tiny, home)
    return home


@pytest.fixture(scope="session")
def address(gallery_home: Path) -> Iterator[str]:
    """A server on that build, for all tests that do not need one of their own."""
    with serving(gallery_home) as where:
        yield where


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """Asks that server."""
    with httpx.Client(base_url=address, timeout=60) as asking:
        yield asking


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """`serve(home, token="", **settings)`: a server of a test's own, as a context."""
    return serving


@pytest.fixture(scope="session")
def rebuild(tiny: SimpleNamespace) -> Callable[[Path, str], None]:
    """`rebuild(home, version)`: a further build goes live there."""
    return lambda home, version: build_home(tiny, home, version)


@pytest.fixture(scope="session")
def png(tiny: SimpleNamespace) -> bytes:
    """An image as a person would send it."""
    return (tiny.folder / tiny.records[0].image).read_bytes()


@pytest.fixture
def noise() -> np.ndarray:
    """Pixels that compress badly, uint8 (64, 48, 3)."""
    return np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def hostile() -> str:
    """The caption that one image of the gallery has."""
    return HOSTILE
