import numpy as np
import pandas as pd
import pytest

from finecap.config import IndexConfig
from finecap.log import silent
from finecap.search.associations import Associations
from finecap.search.build import build_index, live_build, promote_build, recall_at_10
from finecap.search.index import IndexRefused, SearchRequest, StoredCaption
from finecap.search.lance import LanceIndex


@pytest.fixture
def build(home, gallery, reference):
    """build(**changes) builds the gallery's captions, shuffled against the vectors."""
    count = len(gallery.captions)
    images = [gallery.image(i) for i in range(count)]

    def run(*, captions=gallery.captions, vectors=None, config=None, created_at="2026", log=silent,
            associations=None):  # fmt: skip
        table = pd.DataFrame({"image": images[: len(captions)], "caption": captions})
        table.sample(frac=1, random_state=0).to_parquet(home / "captions.parquet")
        return build_index(
            home / "captions.parquet",
            gallery.vectors(count)[::-1] if vectors is None else vectors,
            images[::-1],
            home / "index",
            captioner=reference("captioner"),
            encoder=reference("encoder"),
            data_md5="d",
            data_folder="data",
            created_at=created_at,
            config=config or IndexConfig(),
            log=log,
            associations=associations,
        )

    return run


def test_a_build_joins_captions_and_vectors_by_image(build, home, gallery):
    manifest = build()
    index = LanceIndex(home / "index")
    for row, vector in enumerate(gallery.vectors(8)):
        hit = index.search(SearchRequest(vector=vector, limit=1), manifest.build_id)[0]
        assert hit.caption == gallery.captions[row]
        assert hit.path == f"data/{gallery.image(row)}"
    assert (manifest.rows, manifest.dims, manifest.recall_at_10) == (8, 8, 1.0)
    assert manifest.encoder.digest
    assert manifest.encoder.digest != manifest.captioner.digest


def test_what_is_kept_beside_captions_is_found_by_image(build, home, gallery):
    image, vector = gallery.image(3), gallery.vectors(8)[5]
    person = StoredCaption("a boat, at last", "human", trained=("captioner/1",))
    kept = Associations({image: [person]}, {image: vector}, {image: "grid.npy#3"})
    manifest = build(associations=kept)
    found, other = LanceIndex(home / "index").rows([image, gallery.image(4)], manifest.build_id)
    assert list(found.others) == [person]
    assert np.allclose(found.caption_vector, vector, atol=1e-3)
    assert (found.hidden, other.hidden, other.caption_vector) == ("grid.npy#3", "", None)


def test_a_finished_build_is_not_live_until_promoted(build, home):
    manifest = build()
    assert live_build(home / "index") is None
    promote_build(home / "index", manifest.build_id, expect=None)
    assert live_build(home / "index") == manifest.build_id


def test_the_same_inputs_find_the_finished_build(build):
    lines = []
    first = build()
    again = build(created_at="2027", log=lambda message, **_: lines.append(message))
    assert again == first
    assert "exists already" in lines[0]


def test_another_caption_or_vector_or_model_is_another_build(build, home, gallery):
    ids = {build().build_id}
    ids.add(build(captions=("a purple kite", *gallery.captions[1:])).build_id)
    ids.add(build(vectors=gallery.vectors(8)).build_id)
    (home / "models" / "encoder" / "config.json").write_text("{}")
    ids.add(build().build_id)
    assert len(ids) == 4


def test_old_builds_make_room_but_never_the_live_one(build, home, gallery):
    keep = IndexConfig(keep_builds=2)
    ids = []
    for i in range(4):
        captions = (f"kite number {i}", *gallery.captions[1:])
        ids.append(build(captions=captions, config=keep, created_at=f"202{i}").build_id)
        if i == 0:
            promote_build(home / "index", ids[0], expect=None)
    kept = [manifest.build_id for manifest in LanceIndex(home / "index").builds()]
    assert kept == [ids[0], ids[3]]


def test_a_build_with_low_recall_is_refused_and_stays_invisible(build, home, monkeypatch):
    monkeypatch.setattr("finecap.search.build.recall_at_10", lambda *_: 0.5)
    with pytest.raises(IndexRefused, match=r"recall@10 is 0.500 over 50 queries, expected .* 0.95"):
        build()
    assert LanceIndex(home / "index").builds() == []


def test_recall_counts_the_truly_nearest(home, gallery):
    captions, vectors = ["a boat"] * 40, gallery.vectors(40)
    index = LanceIndex(home / "index")
    gallery.build(index, "b", captions)
    images = [gallery.image(i) for i in range(40)]

    def exact(request):
        return index.search(request, "b")

    assert recall_at_10(exact, images, vectors, 20) >= 0.99
    assert recall_at_10(lambda request: exact(request)[:5], images, vectors, 20) == 0.5
    assert recall_at_10(exact, images, vectors[::-1], 20) < 0.6


def test_a_gallery_that_captions_do_not_cover_is_refused(build, gallery):
    with pytest.raises(IndexRefused, match=r"7 captions for a gallery of 8 .*000007.png"):
        build(captions=gallery.captions[:7])


def test_an_empty_caption_is_refused(build, gallery):
    with pytest.raises(IndexRefused, match=r"no caption for images/000000.png"):
        build(captions=("  ", *gallery.captions[1:]))


def test_vectors_of_another_gallery_are_refused(build):
    with pytest.raises(IndexRefused, match=r"shape \(3, 8\) for 8 images"):
        build(vectors=np.ones((3, 8), np.float32))


def test_a_missing_export_is_refused(build, home):
    (home / "models" / "encoder" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"model export .*encoder does not exist"):
        build()
