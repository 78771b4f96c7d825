"""A small gallery with everything engines must tell apart: words, attributes, vectors, ties."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from finecap.search.attributes import attributes_of
from finecap.search.engines import open_index
from finecap.search.index import CaptionIndex, Manifest, ModelReference, Row
from tests.finecap.search.postgres_server import PostgresServer, bytes_of, running_server

CAPTIONS = (
    "a red boat on the sea",
    "a large red boat to the left of a small blue house at night",
    "a green tree in a meadow",
    "two cats above a black car in the city",
    "boats docked in front of mountains",
    "a red boat on the sea",
    "a bird over a yellow umbrella on the beach",
    "a red car in the desert",
)


def unit_vectors(rows: int, dims: int = 8, seed: int = 0) -> np.ndarray:
    """Random directions, (N, D)."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dims), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def image_name(row: int) -> str:
    return f"images/{row:06d}.png"


def make_manifest(build_id: str, rows: int, dims: int = 8, created_at: str = "2026") -> Manifest:
    model = ModelReference(name="m", version="1", path="models/m")
    return Manifest(
        build_id=build_id,
        captioner=model,
        encoder=model,
        data_md5="d",
        dims=dims,
        rows=rows,
        created_at=created_at,
    )


def make_rows(captions: Sequence[str], vectors: np.ndarray) -> list[Row]:
    return [
        Row(
            image=image_name(i),
            path=f"data/{image_name(i)}",
            caption=caption,
            vector=vectors[i],
            attributes=attributes_of(caption),
            split="val" if i % 2 else "test",
            model_version="1",
        )
        for i, caption in enumerate(captions)
    ]


def make_build(index: CaptionIndex, build_id: str, captions: Sequence[str] = CAPTIONS) -> Manifest:
    """A finished build of those captions, with random vectors."""
    index.create(make_manifest(build_id, len(captions), created_at=f"2026-{build_id}"))
    index.upsert(build_id, make_rows(captions, unit_vectors(len(captions))))
    return index.finish(build_id, lambda _: 1.0)


@pytest.fixture
def gallery(makers: SimpleNamespace) -> SimpleNamespace:
    """Makers of rows, manifests and builds, for the tests of this folder."""
    return makers


@pytest.fixture(scope="session")
def makers() -> SimpleNamespace:
    """`gallery`, for fixtures that live longer than a test."""
    return SimpleNamespace(
        captions=CAPTIONS,
        image=image_name,
        vectors=unit_vectors,
        manifest=make_manifest,
        rows=make_rows,
        build=make_build,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with two model exports in it."""
    for name in ("captioner", "encoder"):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(f'{{"name": "{name}"}}')
    return tmp_path


@pytest.fixture
def reference() -> Callable[[str], ModelReference]:
    """A reference to one of the exports in `home`."""
    return lambda name: ModelReference(name=name, version="3", path=f"models/{name}", run_id="r")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server with pgvector."""
    with running_server() as server:
        yield server


@pytest.fixture(params=["lance", "postgres"])
def index_url(request: pytest.FixtureRequest) -> str:
    """What chooses the engine: "" for the folder's, then a database of its own."""
    return request.getfixturevalue("postgres").migrated() if request.param == "postgres" else ""


@pytest.fixture
def engine(index_url: str, tmp_path: Path) -> Callable[[], CaptionIndex]:
    """engine() opens the same empty index afresh, as another process would."""
    return lambda: open_index(tmp_path / "index", index_url)


@pytest.fixture
def index(engine: Callable[[], CaptionIndex]) -> CaptionIndex:
    """An empty index of every engine in turn."""
    return engine()


@pytest.fixture
def disk_bytes(index_url: str, tmp_path: Path) -> Callable[[], int]:
    """disk_bytes() is what the index takes now."""

    def of_files() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    return (lambda: bytes_of(index_url)) if index_url else of_files
