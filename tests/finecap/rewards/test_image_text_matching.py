"""The cross-encoder's term: a tiny real BLIP and ViLT reward the captions of kept pixels."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from finecap.config import FeaturesConfig, ScstConfig
from finecap.log import silent
from finecap.models.features import Features, extract, open_features
from finecap.models.folder import ModelFolderError
from finecap.rewards import Ingredients, Reward, RewardBatch

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "boat", "on", "the", "sea", "cat", "dog")
LAYERS = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
PICTURE = {**LAYERS, "hidden_size": 8, "image_size": 32, "patch_size": 16}
TEXT = {**LAYERS, "hidden_size": 8, "vocab_size": len(WORDS), "max_position_embeddings": 12}
CAPTIONS = [["a red boat", "a cat"], ["the sea", "a dog on a boat"]]


def blip() -> tuple[Any, Any]:
    text = {**TEXT, "encoder_hidden_size": 8, "bos_token_id": 2, "sep_token_id": 3}
    config = transformers.BlipConfig(
        text_config=text, vision_config=PICTURE, image_text_hidden_size=8
    )
    processor = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    return transformers.BlipForImageTextRetrieval(config), processor


def vilt() -> tuple[Any, Any]:
    config = transformers.ViltConfig(**{**PICTURE, **TEXT})
    processor = transformers.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=16)
    return transformers.ViltForImageAndTextRetrieval(config), processor


def tokenizer() -> Any:
    ids = {word: number for number, word in enumerate(WORDS)}
    fast = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))  # noqa: S106  no password
    fast.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    fast.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **named)


@pytest.fixture(scope="module", params=[blip, vilt])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder, its weights large enough to tell pairs apart."""
    torch.manual_seed(0)
    model, processor = request.param()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("cross")
    for part in (model, processor, tokenizer()):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def features(tiny: SimpleNamespace) -> Features:
    """The tiny world's features with pixels."""
    destination = tiny.new()
    config = FeaturesConfig(pixel_size=32)
    extract(tiny.folder, tiny.records, tiny.encoder, config, destination, silent)
    return open_features(destination)


def rewards(folder: Path, features: Features, rows: list[int]) -> torch.Tensor:
    at = np.array(rows)
    reward = Reward({"itm": 1.0}, Ingredients(options=itm(folder), features=features))
    captions = [CAPTIONS[row % 2] for row in rows]
    vectors = features.vectors_of(at)
    return reward(RewardBatch(captions, vectors, [["a boat"]] * len(rows), at))[0]


def itm(folder: Path | str) -> ScstConfig:
    return ScstConfig(itm_model=str(folder))


def test_it_is_the_cross_encoders_score_of_the_images_pixels(
    folder: Path, features: Features
) -> None:
    from finecap.models.cross_encoder import load_cross_encoder

    found = rewards(folder, features, [4, 1])
    assert features.pixels is not None
    model, photos = load_cross_encoder(str(folder)), np.asarray(features.pixels[[4, 1]])
    expected = model.score(model.prepare(list(photos)), [CAPTIONS[0], CAPTIONS[1]])
    torch.testing.assert_close(found, expected)
    assert found.std() > 1e-3
    assert not found.requires_grad


def test_a_batch_of_two_earns_what_two_batches_of_one_do(folder: Path, features: Features) -> None:
    both = rewards(folder, features, [4, 1])
    alone = torch.cat([rewards(folder, features, [row]) for row in (4, 1)])
    torch.testing.assert_close(both, alone, rtol=0, atol=1e-5)


def test_without_a_model_the_setting_is_asked_for(features: Features) -> None:
    with pytest.raises(ValueError, match="`itm`, which needs a cross-encoder; set `itm_model`"):
        Reward({"itm": 1.0}, Ingredients(features=features))


def test_without_pixels_the_features_setting_is_asked_for(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    ingredients = Ingredients(options=itm(tmp_path), features=open_features(tiny.features))
    with pytest.raises(ValueError, match=r"the features hold none; set `features\.pixel_size`"):
        Reward({"itm": 1.0}, ingredients)


def test_a_folder_without_a_model_is_refused(features: Features, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="give the folder of a copy of"):
        Reward({"itm": 1.0}, Ingredients(options=itm(tmp_path), features=features))
