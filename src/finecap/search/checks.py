"""What every engine refuses, and in the same words: rows, builds and questions that do not fit."""

from collections.abc import Sequence

import numpy as np

from finecap.search.index import (
    IndexRefused,
    Manifest,
    PromoteConflict,
    Row,
    SearchRequest,
    Vector,
    stored_captions,
)
from finecap.search.query import FIELDS

_LENGTH_SLACK = 1e-2
"""Room for fp16 rounding, none for a forgotten norm."""


def check_request(request: SearchRequest, dims: int) -> None:
    """Refuse what no engine can answer.

    Raises:
        IndexRefused: no hits are wanted, or the vector does not fit a build of so many dims.
    """
    if request.limit < 1:
        raise IndexRefused(f"limit is {request.limit}, expected at least 1")
    if request.vector is not None:
        check_vector(request.vector, dims, "query")


def check_field(field_: str) -> None:
    """Refuse a filter on a field that no row has."""
    if field_ not in FIELDS:
        raise IndexRefused(f"unknown field {field_!r}, expected one of {', '.join(FIELDS)}")


def check_batch(rows: Sequence[Row], dims: int) -> None:
    """Refuse a batch with an image twice, or with a vector that does not fit the build."""
    seen: set[str] = set()
    for row in rows:
        if row.image in seen:
            raise IndexRefused(f"image {row.image} comes twice in one batch, expected once")
        seen.add(row.image)
        if "\0" in row.image + row.caption:
            raise IndexRefused(f"image {row.image!r}: name or caption holds NUL, expected text")
        for stored in stored_captions(row):
            if stored.vector is not None:
                check_vector(stored.vector, dims, f"image {row.image}, {stored.caption!r}")
    if rows and not _fit([row.vector for row in rows], dims):
        for row in rows:
            check_vector(row.vector, dims, f"image {row.image}")


def _fit(vectors: Sequence[Vector], dims: int) -> bool:
    """Whether `check_vector` takes all: one look at 10,000 is a tenth of 10,000 looks."""
    if any(vector.shape != (dims,) for vector in vectors):
        return False
    norms = np.linalg.norm(np.stack(vectors).astype(np.float32), axis=1)  # (N,)
    return bool((np.abs(norms - 1) <= _LENGTH_SLACK).all())


def check_vector(vector: Vector, dims: int, where: str) -> None:
    """Refuse what is not a finite (D,) vector of unit length; `where` names it in the message."""
    if vector.shape != (dims,):
        raise IndexRefused(f"{where}: vector has shape {vector.shape}, expected ({dims},)")
    norm = float(np.linalg.norm(vector.astype(np.float32)))
    if not np.isfinite(norm):
        raise IndexRefused(f"{where}: vector has NaN or infinite entries")
    if abs(norm - 1) > _LENGTH_SLACK:
        raise IndexRefused(
            f"{where}: vector has length {norm:.4g}, expected 1 (scores are cosines)"
        )


def check_encoder(manifest: Manifest, dims: int, where: str) -> None:
    """Refuse an encoder of other dims than the build's; `where` names it in the message."""
    if dims != manifest.dims:
        raise IndexRefused(
            f"{where}: the encoder has {dims} dims, build {manifest.build_id} has {manifest.dims}"
        )


def not_open(build_id: str, *, is_finished: bool) -> IndexRefused:
    """The refusal to write to a build that is finished, or that `create` did not open."""
    state = "finished" if is_finished else "not created"
    return IndexRefused(f"build {build_id} is {state}, expected one opened by `create`")


def check_count(manifest: Manifest, held: int) -> None:
    """Refuse to finish a build of other rows than its manifest says."""
    if held != manifest.rows:
        raise IndexRefused(
            f"build {manifest.build_id} holds {held} rows, its manifest says {manifest.rows}: "
            "upsert what is missing or create it again"
        )


def check_expected(live: str | None, expect: str | None) -> None:
    """Refuse to swap what is not there any more.

    Raises:
        PromoteConflict: another build is live than expected.
    """
    if live != expect:
        raise PromoteConflict(
            f"expected live build {expect}, found {live}: another run promoted meanwhile; "
            "look at it and decide again"
        )
