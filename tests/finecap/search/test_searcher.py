import pandas as pd
import pytest
import torch

from finecap.config import ClipConfig, IndexConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.log import silent
from finecap.models.clip import ClipEncoder
from finecap.search.build import build_index, promote_build
from finecap.search.index import IndexRefused, NoSuchBuild
from finecap.search.query import QueryError
from finecap.search.searcher import Searcher

TINY = ClipConfig(embed_dim=8, image_size=16, text_width=8, text_layers=1, text_heads=1)


@pytest.fixture
def encoder(home, gallery):
    """A real encoder, untrained, exported where the manifest will say."""
    torch.manual_seed(0)
    made = ClipEncoder(TINY, WordTokenizer.build(gallery.captions)).eval()
    folder = home / "models" / "encoder"
    (folder / "config.json").unlink()
    made.save(folder)
    return made


@pytest.fixture
def live_home(home, encoder, gallery, reference):
    """A home whose live build holds each caption's own text vector as its picture."""
    images = [gallery.image(i) for i in range(len(gallery.captions))]
    table = pd.DataFrame({"image": images, "caption": gallery.captions})
    table.to_parquet(home / "captions.parquet")
    manifest = build_index(
        home / "captions.parquet",
        encoder.encode_texts(gallery.captions).numpy(),
        images,
        home / "index",
        captioner=reference("captioner"),
        encoder=reference("encoder"),
        data_md5="d",
        data_folder="data",
        created_at="2026",
        config=IndexConfig(),
        log=silent,
    )
    promote_build(home / "index", manifest.build_id, expect=None)
    return home


def test_nothing_live_says_what_to_do(tmp_path):
    with pytest.raises(NoSuchBuild, match="run the pipeline to its caption_index"):
        Searcher.open(tmp_path)


@pytest.mark.parametrize("mode", ["words", "picture", "hybrid"])
def test_a_caption_finds_its_image(live_home, gallery, mode):
    hits = Searcher.open(live_home).search(gallery.captions[6], limit=3, mode=mode)
    assert hits[0].image == gallery.image(6)
    assert (hits[0].bm25_rank is None) == (mode == "picture")
    assert (hits[0].vector_rank is None) == (mode == "words")


def test_conditions_are_understood_as_captions_are(live_home, gallery):
    hits = Searcher.open(live_home).search("boats size:big -background:day relation:'left'")
    assert hits == []
    hits = Searcher.open(live_home).search('boats size:big relation:"left of"')
    assert [hit.image for hit in hits] == [gallery.image(1)]


def test_words_and_filters_alone_need_no_encoder(live_home, monkeypatch):
    monkeypatch.setattr(Searcher, "_load_encoder", lambda _: pytest.fail("loaded"))
    searcher = Searcher.open(live_home)
    assert searcher.search("boat", mode="words")
    assert searcher.search("colour:red")


def test_another_encoder_in_the_same_place_is_refused(live_home, gallery):
    torch.manual_seed(1)
    ClipEncoder(TINY, WordTokenizer.build(gallery.captions)).save(live_home / "models" / "encoder")
    with pytest.raises(IndexRefused, match="is not the encoder version 3 that the index was built"):
        Searcher.open(live_home).search("boat")


def test_an_encoder_of_other_dims_is_refused(home, encoder, gallery, reference):
    images = [gallery.image(i) for i in range(2)]
    pd.DataFrame({"image": images, "caption": ["a", "b"]}).to_parquet(home / "c.parquet")
    built = build_index(
        home / "c.parquet",
        gallery.vectors(2, 5),
        images,
        home / "index",
        captioner=reference("captioner"),
        encoder=reference("encoder"),
        data_md5="d",
        data_folder="data",
        created_at="2026",
        config=IndexConfig(),
        log=silent,
    )
    promote_build(home / "index", built.build_id, expect=None)
    with pytest.raises(IndexRefused, match=rf"encoder has {encoder.dim} dims, build .* has 5"):
        Searcher.open(home).search("boat")


def test_a_searcher_stays_on_its_build(live_home, gallery):
    searcher = Searcher.open(live_home)
    index = searcher._index
    gallery.build(index, "new", ["a boat"])
    index.promote("new", expect=searcher.manifest.build_id)
    assert len(searcher.search("boat", mode="words")) > 1


@pytest.mark.parametrize(
    ("query", "mode", "error"),
    [("", "hybrid", QueryError), ("boat", "sideways", IndexRefused)],
)
def test_a_question_that_makes_no_sense_is_refused(live_home, query, mode, error):
    with pytest.raises(error, match=r"empty|expected hybrid, words or picture"):
        Searcher.open(live_home).search(query, mode=mode)
