"""A batch gives terms what they share, or says what it was not given."""

import pytest
import torch

from finecap.models.clip import ClipEncoder
from finecap.rewards import EncodedBatch, RewardBatch


def test_scores_of_distinct_captions_are_laid_out_by_image(batch: RewardBatch) -> None:
    found = EncodedBatch(batch, None).each(
        lambda texts: torch.tensor([float(len(text)) for text in texts])
    )
    assert found.tolist() == [[len(c) for c in image] for image in batch.captions]


def test_text_features_are_those_of_each_caption(encoder: ClipEncoder, batch: RewardBatch) -> None:
    with torch.no_grad():
        found = EncodedBatch(batch, encoder).text_features
    torch.testing.assert_close(found[1], encoder.encode_texts(list(batch.captions[1])))


def test_text_features_without_an_encoder_are_refused(batch: RewardBatch) -> None:
    with pytest.raises(ValueError, match="give `Ingredients` an encoder"):
        _ = EncodedBatch(batch, None).text_features


def test_positions_that_were_not_given_are_refused(batch: RewardBatch) -> None:
    with pytest.raises(ValueError, match="give `RewardBatch` its `positions`"):
        _ = EncodedBatch(batch, None).positions
