from dataclasses import replace

import numpy as np
import pytest

from finecap.search.checks import (
    check_batch,
    check_count,
    check_encoder,
    check_expected,
    check_field,
    check_request,
    check_vector,
    not_open,
)
from finecap.search.index import IndexRefused, PromoteConflict, SearchRequest, StoredCaption


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (SearchRequest("boat", limit=0), "limit is 0"),
        (SearchRequest(vector=np.ones(3, np.float32)), r"query: vector has shape \(3,\)"),
    ],
)
def test_what_no_engine_can_answer_is_refused(request_, message):
    with pytest.raises(IndexRefused, match=message):
        check_request(request_, 2)


def test_a_field_that_no_row_has_is_refused():
    check_field("colour")
    with pytest.raises(IndexRefused, match="unknown field 'shape', expected one of colour"):
        check_field("shape")


def test_half_precision_is_still_of_unit_length(gallery):
    check_vector(gallery.vectors(1)[0].astype(np.float16), 8, "here")
    with pytest.raises(IndexRefused, match=r"here: vector has length 0\.5"):
        check_vector(gallery.vectors(1)[0] / 2, 8, "here")


@pytest.mark.parametrize("field", ["caption_vector", "others"])
def test_every_vector_of_a_row_is_looked_at(gallery, field):
    row = gallery.rows(["a boat"], gallery.vectors(1))[0]
    short = np.ones(3, np.float32)
    value = short if field == "caption_vector" else (StoredCaption("ship", "human", vector=short),)
    check_batch([row], 8)
    with pytest.raises(IndexRefused, match=r"000000.png, '.*': vector has shape \(3,\)"):
        check_batch([replace(row, **{field: value})], 8)


def test_an_encoder_of_other_dims_is_refused_by_place_and_build(gallery):
    check_encoder(gallery.manifest("b", 3, dims=8), 8, "here")
    with pytest.raises(IndexRefused, match="here: the encoder has 9 dims, build b has 8"):
        check_encoder(gallery.manifest("b", 3, dims=8), 9, "here")


def test_a_build_of_other_rows_than_it_says_is_refused(gallery):
    check_count(gallery.manifest("b", 3), 3)
    with pytest.raises(IndexRefused, match="b holds 2 rows, its manifest says 3: upsert"):
        check_count(gallery.manifest("b", 3), 2)


@pytest.mark.parametrize(("live", "expect"), [("one", None), (None, "one"), ("one", "two")])
def test_a_promotion_that_expects_another_build_is_a_conflict(live, expect):
    check_expected("one", "one")
    with pytest.raises(PromoteConflict, match=f"expected live build {expect}, found {live}"):
        check_expected(live, expect)


def test_a_build_that_cannot_be_written_says_why():
    assert "is finished, expected one opened" in str(not_open("b", is_finished=True))
    assert "is not created, expected one" in str(not_open("b", is_finished=False))
