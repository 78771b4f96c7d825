"""A new captioner of the configured family, ready to be trained."""

from collections.abc import Sequence

from finecap.config import MleConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.models.captioner import Captioner
from finecap.models.features import Features
from finecap.models.transformer import TransformerCaptioner, TransformerShape


def build_captioner(config: MleConfig, features: Features, texts: Sequence[str]) -> Captioner:
    """A captioner with random weights where nothing pretrained is named.

    Args:
        config: family and sizes.
        features: what it reads.
        texts: of train, which its vocabulary is made of.
    """
    if config.family == "huggingface":
        from finecap.models.huggingface import HuggingFaceCaptioner  # seconds, for this family

        return HuggingFaceCaptioner.from_pretrained(str(config.pretrained), config.max_tokens)
    shape = TransformerShape(
        grid_channels=features.grid.shape[-1],
        width=config.width,
        heads=config.heads,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        dropout=config.dropout,
        max_tokens=config.max_tokens,
    )
    return TransformerCaptioner(shape, WordTokenizer.build(texts, config.min_word_count))
