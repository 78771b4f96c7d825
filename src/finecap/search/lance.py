"""The engine for one machine: LanceDB in a folder, one sub-folder per immutable build.

    index/live.json           which build is live, and which was before it
    index/builds/<id>/        manifest.json, words, vectors, rows: sealed
    index/building/<id>/      the same in the making, with the rows staged: invisible

A build becomes visible by one rename and goes live by one replaced file, so a process killed at any
moment leaves the live build and every finished one as they were. LanceDB keeps the rows in the
making: batches are added, replaced and deleted in transactions that survive any kill. What is
searched is sealed and needs none of that; `lance_build.py` says what is inside. Why folders and not
Lance's tags: tags break the pruning of old versions.
"""

import json
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import lancedb  # pyright: ignore[reportMissingTypeStubs]
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
from pydantic import ValidationError

from finecap.lock import is_locked
from finecap.search.build_reader import BuildReader, oldest_first
from finecap.search.checks import check_batch, check_count, check_expected, not_open
from finecap.search.files import exclusive, replace_text, sync_folder
from finecap.search.index import (
    IndexRefused,
    Manifest,
    NoSuchBuild,
    Row,
    Search,
)
from finecap.search.lance_build import PARAMETERS, LanceBuild, seal_rows
from finecap.search.lance_staging import arrow_of, reclaim, schema

_MANIFEST = "manifest.json"
_STAGED = "staged"
_LOCK = ".building"
_pa = cast("Any", pa)


class LanceIndex(BuildReader):
    """`CaptionIndex` over a folder; safe for many readers and, per build, one writer."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written before it is needed."""
        self._folder = folder
        self._open: dict[str, LanceBuild] = {}
        self._given: dict[str, set[str]] = {}  # images of builds that this process created

    def building(self) -> AbstractContextManager[None]:
        """The right to build: a locked file in the folder."""
        return exclusive(self._folder / _LOCK)

    def is_building(self) -> bool:
        """Whether a process on this machine holds that lock."""
        return is_locked(self._folder / _LOCK)

    def create(self, manifest: Manifest) -> None:
        """Open an empty build; one of that name left by a crash is wiped."""
        if self._sealed(manifest.build_id).exists():
            raise IndexRefused(f"build {manifest.build_id} is finished and cannot be changed")
        staging = self._staging(manifest.build_id)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        cast("Any", lancedb.connect(staging)).create_table(_STAGED, schema=schema(manifest.dims))
        self._given[manifest.build_id] = set()
        stated = manifest.model_copy(update={"parameters": PARAMETERS, "recall_at_10": None})
        replace_text(staging / _MANIFEST, stated.model_dump_json(indent=2))

    def upsert(self, build_id: str, rows: Iterable[Row]) -> None:
        """Add or replace rows of an open build, in one transaction."""
        dims = self._staged_manifest(build_id).dims
        batch = list(rows)
        check_batch(batch, dims)
        if batch:
            self._stage(build_id, batch, dims)

    def delete(self, build_id: str, images: Iterable[str]) -> None:
        """Remove rows from an open build."""
        self._staged_manifest(build_id)
        names = ", ".join("'" + image.replace("'", "''") + "'" for image in images)
        if names:
            table = self._staged_table(build_id)
            table.delete(f"image IN ({names})")
            reclaim(table)

    def finish(self, build_id: str, check: Callable[[Search], float]) -> Manifest:
        """Index the rows, check the result, then make it visible by a rename."""
        manifest, staging = self._staged_manifest(build_id), self._staging(build_id)
        staged = self._staged_table(build_id).to_arrow()
        check_count(manifest, staged.num_rows)
        seal_rows(staging, staged)
        recall = check(LanceBuild(staging, manifest).search)
        sealed = manifest.model_copy(update={"recall_at_10": recall})
        shutil.rmtree(staging / f"{_STAGED}.lance")
        replace_text(staging / _MANIFEST, sealed.model_dump_json(indent=2))
        self._sealed(build_id).parent.mkdir(parents=True, exist_ok=True)
        staging.rename(self._sealed(build_id))
        sync_folder(self._sealed(build_id).parent)
        self._given.pop(build_id, None)
        return sealed

    def promote(self, build_id: str, *, expect: str | None) -> None:
        """Make a finished build live if `expect` is live, by compare-and-swap under a lock."""
        self.manifest(build_id)
        with exclusive(self._folder / ".lock"):
            live = self.live()
            check_expected(live, expect)
            if live != build_id:
                state = {"build": build_id, "previous": live}
                replace_text(self._folder / "live.json", json.dumps(state, indent=2) + "\n")

    def builds(self) -> list[Manifest]:
        """Finished builds, oldest first."""
        folders = (self._folder / "builds").glob("*/" + _MANIFEST)
        manifests = [self.manifest(path.parent.name) for path in folders]
        return oldest_first(manifests)

    def live(self) -> str | None:
        """Name of the live build."""
        return self._state().get("build")

    def previous(self) -> str | None:
        """Name of the build that was live before the live one."""
        return self._state().get("previous")

    def manifest(self, build_id: str) -> Manifest:
        """What a finished build says of itself.

        Raises:
            NoSuchBuild: there is none of that name.
        """
        path = self._sealed(build_id) / _MANIFEST
        if not path.is_file():
            raise NoSuchBuild(f"no finished build {build_id} in {self._folder}")
        return _read_manifest(path)

    def drop(self, build_id: str) -> None:
        """Delete a build that is not live; it disappears by a rename, then its files go."""
        with exclusive(self._folder / ".lock"):
            if build_id == self.live():
                raise IndexRefused(f"build {build_id} is live: promote another one first")
            held = [p for p in (self._sealed(build_id), self._staging(build_id)) if p.exists()]
            if not held:
                raise NoSuchBuild(f"no build {build_id} in {self._folder}")
            self._open.pop(build_id, None)
            for folder in held:
                doomed = self._folder / "dropped" / build_id
                shutil.rmtree(doomed, ignore_errors=True)
                doomed.parent.mkdir(exist_ok=True)
                folder.rename(doomed)
            shutil.rmtree(self._folder / "dropped")

    def _stage(self, build_id: str, batch: list[Row], dims: int) -> None:
        """Append what this process knows to be new; looking for each image takes far longer."""
        table, images = self._staged_table(build_id), {row.image for row in batch}
        given = self._given.get(build_id)
        if given is not None and given.isdisjoint(images):
            table.add(arrow_of(batch, dims))
            given |= images
            return
        merge = table.merge_insert("image")
        merge = merge.when_matched_update_all().when_not_matched_insert_all()
        if merge.execute(arrow_of(batch, dims)).num_updated_rows:
            reclaim(table)

    @contextmanager
    def _reading(self, build_id: str | None) -> Generator[LanceBuild]:
        """The live build, or the one named, for one question."""
        name = build_id or self.live()
        if name is None:
            raise NoSuchBuild(f"no build is live in {self._folder}: run the pipeline to its index")
        if name not in self._open or not self._sealed(name).exists():
            self._open.pop(name, None)
            self._open[name] = self._opened(name)
        yield self._open[name]

    def _opened(self, name: str) -> LanceBuild:
        """The finished build of that name; once open, its files may go."""
        try:
            return LanceBuild(self._sealed(name), self.manifest(name))
        except (OSError, ValueError) as error:
            if self._sealed(name).exists():
                raise
            raise NoSuchBuild(f"build {name} was dropped meanwhile: ask again") from error

    def _state(self) -> dict[str, str | None]:
        """What live.json says; {} before the first promotion."""
        path = self._folder / "live.json"
        if not path.exists():
            return {}
        state = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(state, dict) or not isinstance(state.get("build"), str):
            raise IndexRefused(f'{path}: expected {{"build": NAME}}; promote a build again')
        return cast("dict[str, str | None]", state)

    def _sealed(self, build_id: str) -> Path:
        return self._folder / "builds" / build_id

    def _staging(self, build_id: str) -> Path:
        return self._folder / "building" / build_id

    def _staged_manifest(self, build_id: str) -> Manifest:
        path = self._staging(build_id) / _MANIFEST
        if not path.is_file():
            raise not_open(build_id, is_finished=self._sealed(build_id).exists())
        return _read_manifest(path)

    def _staged_table(self, build_id: str) -> Any:
        return cast("Any", lancedb.connect(self._staging(build_id))).open_table(_STAGED)


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise IndexRefused(f"{path} is not a manifest of this version: {error}") from error
