"""Cross-encoders: agreement with transformers, batches and masks, what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from finecap.models.cross_encoder import CrossEncoder, load_cross_encoder
from finecap.models.folder import ModelFolderError

KINDS = ("blip", "vilt")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "boat", "on", "the", "sea", "cat", "dog")
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
PICTURE = {**LAYERS, "hidden_size": 16, "image_size": 32, "patch_size": 8}
TEXT = {**LAYERS, "hidden_size": 16, "vocab_size": len(WORDS), "max_position_embeddings": 12}
TEXTS = ["a cat", "a red boat on the sea", "boat " * 40, ""]


def tokenizer() -> Any:
    ids = {word: number for number, word in enumerate(WORDS)}
    fast = Tokenizer(models.WordLevel(ids, unk_token=WORDS[1]))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    fast.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **named)


def parts_of(kind: str) -> tuple[Any, Any]:
    """Model and image processor of a kind, tiny."""
    if kind == "blip":
        config = transformers.BlipConfig(
            text_config={**TEXT, "encoder_hidden_size": 16, "bos_token_id": 2, "sep_token_id": 3},
            vision_config=PICTURE,
            image_text_hidden_size=8,
        )
        square = {"height": 32, "width": 32}
        processor = transformers.BlipImageProcessor(size=square)
        return transformers.BlipForImageTextRetrieval(config), processor
    processor = transformers.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    config = transformers.ViltConfig(**{**PICTURE, **TEXT})
    return transformers.ViltForImageAndTextRetrieval(config), processor


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of a tiny cross-encoder of each kind; weights that tell pairs apart."""
    made: dict[str, Path] = {}
    for kind in KINDS:
        torch.manual_seed(0)
        model, image_processor = parts_of(kind)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        made[kind] = tmp_path_factory.mktemp(kind)
        for part in (model, image_processor, tokenizer()):
            part.save_pretrained(made[kind])
    return made


@pytest.fixture(scope="module", params=KINDS)
def encoder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> CrossEncoder:
    return load_cross_encoder(str(folders[request.param]))


def photos(*shapes: tuple[int, int]) -> list[np.ndarray]:
    """Noise of these (H, W)."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (*shape, 3), dtype=np.uint8) for shape in shapes]


MIXED = photos((40, 40), (64, 32), (32, 64))


def transformers_own(encoder: CrossEncoder, photo: np.ndarray, text: str) -> float:
    """The score of one pair, by a call of transformers' model."""
    inputs = encoder.image_processor(images=[Image.fromarray(photo)], return_tensors="pt")
    words = encoder.tokenizer([text], truncation=True, max_length=12, return_tensors="pt")
    words.pop("token_type_ids", None)
    model: Any = encoder.model
    with torch.no_grad():
        if "pixel_mask" not in inputs:  # BLIP's
            output = model(**words, **inputs, use_itm_head=True)
            return output.itm_score.softmax(-1)[0, 1].item()
        return model(**words, **inputs).logits[0, 0].sigmoid().item()


def test_scores_are_those_of_transformers(encoder: CrossEncoder) -> None:
    prepared = encoder.prepare(MIXED)
    scores = encoder.score(prepared, [TEXTS] * 3)
    expected = torch.tensor([[transformers_own(encoder, p, t) for t in TEXTS] for p in MIXED])
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-5)
    assert scores.std() > 0.02  # pairs differ, so that agreement says something
    assert 0 <= scores.min() <= scores.max() <= 1


def test_a_batch_equals_its_pairs_one_by_one(encoder: CrossEncoder) -> None:
    prepared = encoder.prepare(MIXED, batch_size=2)
    together = encoder.score(prepared, [TEXTS[:2]] * 3, batch_size=4)
    alone = [encoder.score_pairs([photo], [text]) for photo in MIXED for text in TEXTS[:2]]
    torch.testing.assert_close(together.flatten(), torch.cat(alone), rtol=0, atol=1e-5)


def test_pairs_are_scored_in_their_order(encoder: CrossEncoder) -> None:
    scores = encoder.score(encoder.prepare(MIXED), [TEXTS[:3]] * 3)
    pairs = encoder.score_pairs(MIXED, TEXTS[:3])
    torch.testing.assert_close(pairs, scores.diagonal(), rtol=0, atol=1e-5)


def test_an_image_is_computed_once_for_all_its_captions(
    encoder: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = encoder.prepare(MIXED)
    monkeypatch.delattr(type(encoder), "_embed")
    assert encoder.score(prepared, [TEXTS] * 3).shape == (3, 4)


def test_a_caption_said_twice_is_scored_once(
    encoder: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []
    match: Callable[..., torch.Tensor] = encoder._match  # pyright: ignore[reportPrivateUsage]

    def counted(seen: list[torch.Tensor], texts: list[str]) -> torch.Tensor:
        scored.extend(texts)
        return match(seen, texts)

    monkeypatch.setattr(encoder, "_match", counted)
    scores = encoder.score(encoder.prepare(MIXED[:2]), [["a cat", "a cat"], ["a cat", "a dog"]])
    assert sorted(scored) == ["a cat", "a cat", "a dog"]
    assert scores[0, 0] == scores[0, 1] != scores[1, 0]


def test_one_array_of_images_is_as_good_as_many(encoder: CrossEncoder) -> None:
    array = np.stack(photos((32, 32), (32, 32)))
    texts = TEXTS[:2]
    assert torch.equal(encoder.score_pairs(array, texts), encoder.score_pairs(list(array), texts))  # type: ignore[arg-type]


def test_nothing_asked_nothing_scored(encoder: CrossEncoder) -> None:
    assert encoder.score(encoder.prepare([]), []).numel() == 0


def test_scoring_draws_on_no_ones_randomness(encoder: CrossEncoder) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = encoder.score_pairs(MIXED, TEXTS[:3])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(encoder.score_pairs(MIXED, TEXTS[:3]), first)


@pytest.mark.parametrize("captions", [[["a cat"]], [["a cat"], ["a dog", "a cat"]]])
def test_captions_that_are_not_k_for_each_image_are_refused(
    encoder: CrossEncoder, captions: list[list[str]]
) -> None:
    with pytest.raises(ValueError, match="expected K captions for each image"):
        encoder.score(encoder.prepare(MIXED[:2]), captions)


def test_a_name_that_is_not_here_is_refused_without_asking_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"nobody/itm: AutoConfig cannot read it .*download"):
        load_cross_encoder("nobody/itm")
    with pytest.raises(ModelFolderError, match="cannot read it"):
        load_cross_encoder(str(tmp_path))


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    transformers.BertConfig(hidden_size=16).save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="is a bert model, expected one of blip, vilt"):
        load_cross_encoder(str(tmp_path))


def test_a_model_without_the_head_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    model = transformers.ViltForImageAndTextRetrieval.from_pretrained(folders["vilt"])
    model.vilt.save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match=r"lacks weights of .*\(rank_output\.bias"):
        load_cross_encoder(str(tmp_path))


def test_a_model_without_its_tokenizer_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folders["blip"] / name).read_bytes())
    with pytest.raises(ModelFolderError, match="knows no words; put the tokenizer's"):
        load_cross_encoder(str(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    shutil.copytree(folders["vilt"], tmp_path, dirs_exist_ok=True)
    more = tokenizer()
    more.add_tokens(["house"])
    more.save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="tokenizer knows 13 words, its model 12"):
        load_cross_encoder(str(tmp_path))


def test_weights_of_other_sizes_are_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    shutil.copytree(folders["vilt"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 40}))
    with pytest.raises(ModelFolderError, match="ViltForImageAndTextRetrieval cannot read it"):
        load_cross_encoder(str(tmp_path))
