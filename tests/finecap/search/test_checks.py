from dataclasses import replace

import numpy as np
import pytest

from finecap.search.checks import check_batch, check_field, check_request, check_vector
from finecap.search.index import IndexRefused, SearchRequest, StoredCaption


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
