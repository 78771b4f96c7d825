"""A new captioner of the configured family, ready to be trained.

A decoder (`family`) reads a grid: the cached one of the encoder, or that of an image tower of its
own (`image_encoder`), which makes it a `PixelCaptioner`.
"""

from collections.abc import Sequence
from pathlib import Path

from finecap.config import MleConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.models.bicaptioning import BicaptioningTransformer
from finecap.models.captioner import Captioner
from finecap.models.features import Features
from finecap.models.image_encoder import ImageEncoder
from finecap.models.lstm import LstmCaptioner, LstmShape
from finecap.models.pixels import PixelCaptioner
from finecap.models.transformer import TransformerCaptioner, TransformerShape


def build_captioner(
    config: MleConfig, features: Features, texts: Sequence[str], encoder: Path | None = None
) -> Captioner:
    """A captioner with random weights where nothing pretrained is named.

    Args:
        config: family and sizes.
        features: what it reads.
        texts: of train, which its vocabulary is made of.
        encoder: folder of the encoder that made the features, where its tower is to be copied.
    """
    if config.family == "huggingface":
        from finecap.models.huggingface import HuggingFaceCaptioner  # seconds, for this family

        return HuggingFaceCaptioner.from_pretrained(str(config.pretrained), config.max_tokens)
    tokenizer = WordTokenizer.build(texts, config.min_word_count)
    if config.image_encoder == "cached":
        return _decoder(config, features.grid.shape[-1], tokenizer)
    image_encoder = _image_encoder(config, encoder)
    return PixelCaptioner(image_encoder, _decoder(config, image_encoder.channels, tokenizer))


def _decoder(config: MleConfig, grid_channels: int, tokenizer: WordTokenizer) -> Captioner:
    """What reads a grid of that many channels."""
    if config.family == "lstm":
        sizes = LstmShape(grid_channels, config.width, config.dropout, config.max_tokens)
        return LstmCaptioner(sizes, tokenizer)
    shape = TransformerShape(
        grid_channels=grid_channels,
        width=config.width,
        heads=config.heads,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        dropout=config.dropout,
        max_tokens=config.max_tokens,
    )
    made = BicaptioningTransformer if config.bicaptioning else TransformerCaptioner
    return made(shape, tokenizer)


def _image_encoder(config: MleConfig, encoder: Path | None) -> ImageEncoder:
    """What gives the grid in the cache's place."""
    if config.image_encoder == "timm":
        checkpoint = Path(config.timm_checkpoint) if config.timm_checkpoint else None
        return ImageEncoder.from_timm(
            config.timm_model,
            checkpoint,
            image_size=config.image_size,
            trainable=config.image_trainable,
        )
    if encoder is None:
        raise ValueError(
            "`image_encoder: clip` copies the tower of the encoder that made the features: "
            "expected that encoder's folder, came none"
        )
    copied = ImageEncoder.from_clip(encoder, trainable=config.image_trainable)
    if config.image_size not in {0, copied.tower.image_size}:
        raise ValueError(
            f"`image_size` {config.image_size}: the encoder's tower reads images of "
            f"{copied.tower.image_size} px; leave it at 0"
        )
    return copied
