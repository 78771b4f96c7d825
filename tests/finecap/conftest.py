"""A tiny drawn world with models trained on it for seconds, made once for all tests."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Data folder, records, encoder, features and captioner; `new` gives an empty folder."""
    from finecap.config import ClipConfig, DataConfig, FeaturesConfig, MleConfig
    from finecap.data.records import read_records
    from finecap.data.scenes import draw_world
    from finecap.log import silent
    from finecap.models.features import extract
    from finecap.training.clip import train_clip
    from finecap.training.mle import train_mle

    def new() -> Path:
        return tmp_path_factory.mktemp("stage")

    world = DataConfig(
        clip_images=64, judge_images=16, captioner_images=48, val_images=24, test_images=24
    )
    clip = ClipConfig(
        embed_dim=16,
        image_size=32,
        image_width=8,
        text_width=32,
        text_layers=1,
        text_heads=2,
        word_epochs=2,
        word_batch_size=32,
        epochs=8,
        batch_size=16,
        lr=2e-3,
    )
    short = {"word_epochs": 1, "epochs": 1}
    mle = MleConfig(width=32, heads=2, decoder_layers=1, epochs=20, batch_size=16, lr=5e-3)
    folder = new() / "data"
    draw_world(folder, world, silent, processes=1)
    records = read_records(folder / "captions.jsonl")
    encoder, features, captioner = new(), new(), new()
    clip_metrics = train_clip(folder, records, clip, encoder, silent)
    extract(folder, records, encoder, FeaturesConfig(), features, silent)
    metrics = train_mle(features, records, mle, captioner, silent)
    return SimpleNamespace(
        folder=folder,
        records=records,
        clip_config=clip.model_copy(update=short),
        mle_config=mle,
        clip_metrics=clip_metrics,
        encoder=encoder,
        features=features,
        mle=captioner,
        mle_metrics=metrics,
        new=new,
    )


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Path], bytes]:
    """The bytes of a model folder's weights."""
    return lambda folder: (folder / "model.safetensors").read_bytes()
