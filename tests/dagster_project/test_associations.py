"""From a champion's lineage to what an index keeps beside the captions it searches."""

import shutil

import numpy as np
import pandas as pd
import pytest

from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.associations import NEGATIVES, associations_of
from dagster_project.home import Home
from finecap.data.records import Record
from finecap.log import silent
from finecap.search.gallery import CAPTION_VECTORS, CAPTIONS, VECTORS

RECORDS = [
    Record("0.png", "train", ("a red boat",)),
    Record("1.png", "test", ("a red boat",)),
    Record("2.png", "test", ("a car",)),
]


@pytest.fixture
def made(home: Home):
    """Artifacts `captions` and `champion` of a lineage on disk; the captioner saw 0 and 1."""
    store = ArtifactStore(home.artifacts)

    def put(asset, files, inputs=None, **fields):
        with store.writing(asset, "v") as folder:
            for name, content in files.items():
                if isinstance(content, pd.DataFrame):
                    content.to_parquet(folder / name)
                else:
                    np.save(folder / name, content)
            return store.publish(
                folder,
                Artifact(asset, folder, "v", inputs=dict.fromkeys(inputs or (), "v"), **fields),
            )

    grammar = {"caption": ["a red boat"], "negative": ["red a boat"], "kind": ["swap"]}
    attribute = {"image": ["1.png"], "caption": ["a red boat"], "negative": ["a boat"]}
    attribute |= {"attribute": ["colour"], "kind": ["remove"]}
    put("grammar_negatives", {NEGATIVES: pd.DataFrame(grammar)})
    put("attribute_negatives", {NEGATIVES: pd.DataFrame(attribute)})
    put("clip_reward/both", {}, ["grammar_negatives", "attribute_negatives"])
    rows = pd.DataFrame({"image": ["0.png", "1.png"], "split": ["train", "test"]})
    put("image_features", {"rows.parquet": rows})
    put("scst/clip_s", {}, ["image_features", "clip_reward/both"])
    named = {"model": "captioner", "version": "7", "run_id": "r"}
    champion = put("champion", {}, ["scst/clip_s"], config=named)
    images = [record.image for record in RECORDS]
    table = pd.DataFrame({"image": images, "caption": ["a", "b", "c"]})
    eye = np.eye(3, dtype=np.float32)
    said = {CAPTIONS: table, VECTORS: eye, CAPTION_VECTORS: eye[::-1]}
    return put("captions", said, ["champion"]), champion


def test_a_caption_leads_to_what_was_made_of_it_and_trained_on_it(made, home):
    found = associations_of(*made, RECORDS, home, silent)
    (first,), (second,) = found.references["0.png"], found.references["1.png"]
    assert (first.trained, second.trained) == (("captioner/7",), ())
    assert [derived.text for derived in first.derived] == ["red a boat"]
    assert {derived.text for derived in second.derived} == {"a boat", "red a boat"}


def test_an_image_leads_to_its_caption_as_text_and_to_its_grid_features(made, home):
    found = associations_of(*made, RECORDS, home, silent)
    assert np.array_equal(found.caption_vectors["0.png"], [0, 0, 1])
    place = "artifacts/image_features/v/grid.npy"
    assert found.hidden == {"0.png": f"{place}#0", "1.png": f"{place}#1"}


def test_a_lineage_that_is_gone_is_told_and_left_out(made, home):
    shutil.rmtree(home.artifacts / "image_features" / "v")
    shutil.rmtree(home.artifacts / "clip_reward" / "both" / "v")
    lines = []
    found = associations_of(*made, RECORDS, home, lines.append)
    assert found.hidden == {}
    assert found.references["0.png"][0].trained == ()
    assert found.references["0.png"][0].derived == ()
    assert [line.split(" is ")[0] for line in lines] == ["image_features v", "clip_reward/both v"]
