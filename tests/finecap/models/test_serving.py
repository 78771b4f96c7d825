"""Requests of every form, and which item is wrong in those that are refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finecap.data.sent_images import Intake
from finecap.models.export import export_pair
from finecap.models.folder import ModelFolderError
from finecap.models.serving import RequestError, Row, ServedCaptioner, ServedEncoder, rows_of

OWN = Intake(is_trusted=True)
ARRAY = np.zeros((4, 4, 3), np.uint8)


def rows(asked: object, *columns: str) -> list[Row]:
    return rows_of(asked, columns or ("image",), lambda _: "image")


@pytest.mark.parametrize(
    "asked",
    [
        "a",
        ["a"],
        ("a",),
        {"image": "a"},
        {"image": ["a"]},
        {"image": ["a"], "note": ["x"]},
        [{"image": "a", "note": "x"}],
        pd.DataFrame({"image": ["a"]}),
        pd.Series(["a"]),
        np.array(["a"]),
        np.array([["a"]], dtype=object),
    ],
    ids=str,
)
def test_one_item_is_the_same_row_in_every_form(asked: object):
    assert rows(asked) == [Row("image", "a")]


@pytest.mark.parametrize(
    "asked", [ARRAY, ARRAY[None], [ARRAY], {"image": ARRAY}, {"image": [ARRAY]}]
)
def test_one_array_is_one_image(asked: object):
    (row,) = rows(asked)
    np.testing.assert_array_equal(row.value, ARRAY)


def test_rows_of_two_columns_keep_their_order():
    table = pd.DataFrame({"text": ["a", None], "image": [None, "b"]})
    assert rows(table, "image", "text") == [Row("text", "a"), Row("image", "b")]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "the request is empty, expected at least one image"),
        ({"image": []}, "the request is empty"),
        (pd.DataFrame({"image": []}), "the request is empty"),
        ({"picture": ["a"]}, "row 0 has no image: came picture"),
        (pd.DataFrame({"picture": ["a"]}), "row 0 has no image: came picture"),
        (["a", {}], "row 1 has no image: came nothing"),
    ],
    ids=str,
)
def test_request_without_a_row_or_its_column_is_refused(asked: object, said: str):
    with pytest.raises(RequestError, match=said):
        rows(asked)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(RequestError, match=r"different lengths: \{'image': 1, 'text': 2\}"):
        rows({"image": ["a"], "text": ["a", "b"]}, "image", "text")


@pytest.fixture(scope="module")
def captioner(tiny: SimpleNamespace) -> ServedCaptioner:
    folder = tiny.new()
    export_pair(tiny.mle, tiny.encoder, folder)
    return ServedCaptioner(folder)


@pytest.fixture(scope="module")
def encoder(tiny: SimpleNamespace) -> ServedEncoder:
    return ServedEncoder(tiny.encoder)


def test_captions_are_the_models_own(tiny: SimpleNamespace, captioner: ServedCaptioner):
    paths = [tiny.folder / r.image for r in tiny.records[:5]]
    own = captioner.model.caption_images(paths)
    assert captioner.captions(paths, {}, OWN) == own
    assert captioner.captions([str(p) for p in paths], {"beams": 1, "max_tokens": None}, OWN) == own
    (short,) = captioner.captions(paths[0], {"max_tokens": 2}, OWN)
    assert len(short.split()) <= 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beams": 33}, "beams is 33, expected a whole number from 1 to 32"),
        ({"beams": True}, "beams is True"),
        ({"beams": 1.5}, "beams is 1.5"),
        ({"max_tokens": 0}, "max_tokens is 0, expected a whole number from 1 to "),
    ],
)
def test_setting_out_of_bounds_is_refused(
    captioner: ServedCaptioner, settings: dict[str, object], said: str
):
    with pytest.raises(RequestError, match=said):
        captioner.captions([ARRAY], settings, OWN)


def test_broken_image_is_named_by_its_place(
    tiny: SimpleNamespace, captioner: ServedCaptioner, encoder: ServedEncoder
):
    sound = (tiny.folder / tiny.records[0].image).read_bytes()
    said = "image 2: image of .* bytes does not decode"
    with pytest.raises(RequestError, match=said):
        captioner.captions([sound, sound, sound[:-300]], {}, Intake())
    with pytest.raises(RequestError, match=said):
        encoder.vectors(["a boat", sound, sound[:-300]], Intake())
    with pytest.raises(RequestError, match=r"image 0: image none\.png does not exist"):
        captioner.captions(Path("none.png"), {}, OWN)


def test_texts_and_images_keep_their_places(tiny: SimpleNamespace, encoder: ServedEncoder):
    image = Image.open(tiny.folder / tiny.records[0].image)
    found = encoder.vectors(["a red boat", image, {"text": "a dog"}], Intake())
    texts = encoder.encoder.encode_texts(["a red boat", "a dog"]).numpy()
    np.testing.assert_allclose(found[[0, 2]], texts, atol=1e-6)
    np.testing.assert_allclose(found[1:2], encoder.encoder.encode_images([image]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_damaged_folder_is_refused_by_name(tmp_path: Path):
    for served in (ServedCaptioner, ServedEncoder):
        with pytest.raises(ModelFolderError, match=str(tmp_path)):
            served(tmp_path)
