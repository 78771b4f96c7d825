"""Each term says what it lacks, and what to give or set."""

import numpy as np
import pandas as pd
import pytest
import torch

from finecap.models.clip import ClipEncoder
from finecap.models.features import Features
from finecap.rewards import Images, Ingredients, Reward
from finecap.rewards.ingredients import ReferenceFeatures

FEATURES = Features(
    pd.DataFrame({"image": ["a", "b"], "split": "train"}),
    np.zeros((2, 1, 1)),
    np.eye(2, 16, dtype=np.float32),
)


@pytest.mark.parametrize("term", ["clip_s", "ref_clip_s", "ref_clip_s_scaled", "self_retrieval"])
def test_a_term_that_reads_text_features_asks_for_an_encoder(term: str, train: Images) -> None:
    expected = rf"`{term}`, which needs an encoder; give `Ingredients\(encoder="
    with pytest.raises(ValueError, match=expected):
        Reward({term: 1.0}, Ingredients(train=train))


@pytest.mark.parametrize("term", ["grammar", "grammar_log"])
def test_a_grammar_term_asks_for_a_head(term: str, encoder: ClipEncoder) -> None:
    bare = ClipEncoder(encoder.config, encoder.tokenizer)
    with pytest.raises(ValueError, match=f"`{term}`, but its encoder has no grammar head"):
        Reward({term: 1.0}, Ingredients(bare))


@pytest.mark.parametrize("term", ["cider", "lm"])
def test_a_term_of_the_corpus_asks_for_the_train_images(term: str) -> None:
    expected = rf"`{term}`, which needs the train images' references; give `Ingredients\(train="
    with pytest.raises(ValueError, match=expected):
        Reward({term: 1.0}, Ingredients())


def test_self_retrieval_asks_for_features(encoder: ClipEncoder, train: Images) -> None:
    with pytest.raises(ValueError, match=r"give `Ingredients\(features="):
        Reward({"self_retrieval": 1.0}, Ingredients(encoder, train=train))


def test_pixels_that_were_not_kept_are_asked_for_by_the_setting_that_keeps_them() -> None:
    with pytest.raises(ValueError, match=r"`itm`, which reads pixels.*set `features\.pixel_size`"):
        Ingredients(features=FEATURES).pixels_for("itm")


def test_references_of_different_number_are_masked(encoder: ClipEncoder) -> None:
    features, mask = ReferenceFeatures(encoder)([["a cat"], ["a boat", "a red boat"]])
    assert mask.tolist() == [[True, False], [True, True]]
    torch.testing.assert_close(features[1], encoder.encode_texts(["a boat", "a red boat"]))


def test_references_are_encoded_when_an_image_is_seen_first(
    encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ReferenceFeatures(encoder)
    first, _ = kept([["a cat"], ["a boat"]])
    real, seen = encoder.encode_texts, []
    monkeypatch.setattr(encoder, "encode_texts", lambda texts: seen.extend(texts) or real(texts))
    again, _ = kept([["a boat"], ["a red boat"], ["a cat"]])
    assert seen == ["a red boat"]
    torch.testing.assert_close(again[[2, 0]], first)


def test_an_image_without_reference_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(ValueError, match="image 1 of the batch has no reference"):
        ReferenceFeatures(encoder)([["a cat"], []])
