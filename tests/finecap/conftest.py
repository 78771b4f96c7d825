"""A tiny drawn world with models trained on it for seconds, made once for all tests."""

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import finecap.models.torchvision_shim  # noqa: F401  # before a test imports what needs it
from tests.finecap.tiny_huggingface import WORDS, write_pretrained
from tests.finecap.tiny_open_clip import TINY_ARCHITECTURES, TINY_TEXT_TOWERS, word_tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Data folder, records, encoder, features and captioner; `new` gives an empty folder.

    `features_with` gives the features with pixels of a size beside them.
    """
    from finecap.config import ClipConfig, DataConfig, FeaturesConfig, MleConfig
    from finecap.data.pixels import pixel_table
    from finecap.data.records import read_records
    from finecap.data.scenes import draw_world
    from finecap.log import silent
    from finecap.models.features import PIXELS, extract, open_features
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

    @cache
    def features_with(pixel_size: int) -> Path:
        with_pixels, seen = new(), open_features(features)
        for file in features.iterdir():
            shutil.copy(file, with_pixels)
        kept = [r for image in seen.rows["image"] for r in records if r.image == image]
        if pixel_size:
            pixel_table(folder, kept, pixel_size, with_pixels / PIXELS, silent)
        return with_pixels

    return SimpleNamespace(
        folder=folder,
        records=records,
        clip_config=clip.model_copy(update=short),
        mle_config=mle,
        clip_metrics=clip_metrics,
        encoder=encoder,
        features=features,
        features_with=features_with,
        mle=captioner,
        mle_metrics=metrics,
        new=new,
    )


@pytest.fixture(scope="session")
def hub_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tokenizer such as SigLIP's: `</s>` ends a text and fills the context."""
    folder = tmp_path_factory.mktemp("tokenizer")
    return word_tokenizer(folder, ("<unk>", "</s>"), "$A </s>", pad="</s>")


@pytest.fixture(scope="session")
def text_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of text models as their hub's are, weights left out: config and tokenizer."""
    folders: dict[str, Path] = {}
    ends = {"vocab_size": 24, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    for name, (config, _) in TINY_TEXT_TOWERS.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        word_tokenizer(folder, ("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", pad="<pad>")
        (folder / "config.json").write_text(json.dumps({**config, **ends}))
    return folders


@pytest.fixture(scope="session")
def open_clip_models(
    tmp_path_factory: pytest.TempPathFactory, hub_tokenizer: Path, text_models: dict[str, Path]
) -> dict[str, SimpleNamespace]:
    """Tiny architectures in open_clip's registry: its own model, and that model's checkpoint."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("architectures")
    architectures = dict(TINY_ARCHITECTURES)
    for name, (_, reading) in TINY_TEXT_TOWERS.items():
        source = {f"hf_{part}_name": str(text_models[name]) for part in ("model", "tokenizer")}
        text = {"context_length": 16, **source, **reading}
        architectures[name] = {**TINY_ARCHITECTURES["tiny-vit"], "text_cfg": text}
    for name, config in architectures.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    made: dict[str, SimpleNamespace] = {}
    for name in architectures:
        torch.manual_seed(0)
        reference = open_clip.create_model(name, pretrained_text=False).eval()
        with torch.no_grad():
            for parameter in reference.parameters():  # some start at zero, and would hide a slip
                parameter.add_(0.02 * torch.randn_like(parameter))
        checkpoint = folder / name / "weights.safetensors"
        checkpoint.parent.mkdir()
        save_file(reference.state_dict(), checkpoint)
        fields = {"architecture": name, "pretrained": str(checkpoint), "epochs": 0}
        tokenizer = {"tokenizer": str(hub_tokenizer)} if "siglip" in name else {}
        made[name] = SimpleNamespace(
            reference=reference, checkpoint=checkpoint, fields={**fields, **tokenizer}
        )
    return made


TOWER = {"image_encoder": "timm", "timm_model": "test_resnet", "image_size": 48}
FAMILIES: dict[str, dict[str, Any]] = {
    "transformer": {},
    "lstm": {"family": "lstm"},
    "bicaptioning": {"bicaptioning": True, "encoder_layers": 0},
    "frozen_resnet": {**TOWER, "timm_checkpoint": "test_resnet"},
    "resnet_from_scratch": {
        **TOWER,
        "image_trainable": True,
        "image_lr_scale": 1.0,
        "bicaptioning": True,
        "encoder_layers": 0,
    },
    "vit": {
        **TOWER,
        "timm_model": "test_vit",
        "timm_checkpoint": "test_vit",
        "image_trainable": True,
        "family": "lstm",
    },
    "clip": {"image_encoder": "clip", "image_trainable": True},
}


@pytest.fixture(scope="session")
def timm_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A timm model's state dict as timm publishes it, classifier included, weights random."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("checkpoints")

    def checkpoint(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            torch.manual_seed(0)
            save_file(timm.create_model(name, pretrained=False).state_dict(), path)
        return path

    return checkpoint


@pytest.fixture(scope="session", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, tiny: SimpleNamespace, timm_checkpoint: Callable[[str], Path]
) -> SimpleNamespace:
    """One family of captioners: its name, settings, and the features it reads in the tiny world."""
    from finecap.config import MleConfig

    changes = dict(FAMILIES[request.param])
    if "timm_checkpoint" in changes:
        changes["timm_checkpoint"] = str(timm_checkpoint(changes["timm_checkpoint"]))
    config = MleConfig.model_validate({**tiny.mle_config.model_dump(), **changes})
    size = {"cached": 0, "timm": 48, "clip": 32}[config.image_encoder]
    return SimpleNamespace(name=request.param, config=config, features=tiny.features_with(size))


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Path], bytes]:
    """The bytes of a model folder's weights."""
    return lambda folder: (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders of tiny random models, as transformers' `save_pretrained` leaves them.

    Of a kind: `git`, `blip`, or a ViT with a decoder that is `bert`, `roberta`, `gpt2`, `bart`,
    `mbart` or `trocr`. Each has a vocabulary of words, but GPT-2 one of bytes and a single special,
    its start, end and padding; BART and TrOCR start with their end.
    """
    folders: dict[object, Path] = {}

    def folder_of(kind: str, words: Sequence[str] = WORDS, spread: float = 0.6) -> Path:
        key = (kind, *words, spread)
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(kind)
            write_pretrained(folders[key], kind, words, spread)
        return folders[key]

    return folder_of
