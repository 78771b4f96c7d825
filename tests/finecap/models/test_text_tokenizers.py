"""Tokenizers of text towers: each kind's ids, the way to disk and back, what is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch

from finecap.data.tokenizer import EOS, VocabularyError, WordTokenizer
from finecap.models.architectures import Architecture, resolve
from finecap.models.folder import ModelFolderError
from finecap.models.text_tokenizers import (
    BytePairTokenizer,
    HubTokenizer,
    TextTokenizer,
    cut,
    end_of_text,
    load_text_tokenizer,
    tokenizer_of,
)

TEXTS = ["a red boat", "the Sea!", ""]


@pytest.fixture
def siglip(open_clip_models: dict[str, SimpleNamespace]) -> Architecture:
    return resolve("tiny-siglip", {}, open_clip_models["tiny-siglip"].checkpoint)


@pytest.fixture
def vit(open_clip_models: dict[str, SimpleNamespace]) -> Architecture:
    return resolve("tiny-vit", {}, open_clip_models["tiny-vit"].checkpoint)


@pytest.fixture(params=["words", "byte pairs", "hub"])
def tokenizer(
    request: pytest.FixtureRequest, vit: Architecture, siglip: Architecture, hub_tokenizer: Path
) -> TextTokenizer:
    if request.param == "words":
        return WordTokenizer.build(TEXTS)
    if request.param == "byte pairs":
        return tokenizer_of(vit, None)
    return tokenizer_of(siglip, str(hub_tokenizer))


def test_each_kind_comes_back_from_the_folder_it_was_saved_in(
    tokenizer: TextTokenizer, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    tokenizer.save(tmp_path / "here" / "vocabulary.json")
    (tmp_path / "here").rename(tmp_path / "there")
    again = load_text_tokenizer(tmp_path / "there" / "vocabulary.json")
    assert type(again) is type(tokenizer)
    assert (len(again), again.eos) == (len(tokenizer), tokenizer.eos)
    assert np.array_equal(again.encode_batch(TEXTS, 7), tokenizer.encode_batch(TEXTS, 7))


def test_every_text_ends_with_eos_however_little_room_there_is(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode_batch(["a red boat on the sea " * 9, "boat"], 5)
    assert ids.shape == (2, 5)
    assert ids[0, -1] == tokenizer.eos
    assert end_of_text(torch.from_numpy(ids), tokenizer.eos)[1] < 3
    assert ids.max() < len(tokenizer)


def test_byte_pairs_are_open_clips() -> None:
    reference = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    tokenizer = BytePairTokenizer({})
    assert torch.equal(torch.from_numpy(tokenizer.encode_batch(TEXTS, 77)), reference)
    assert (len(tokenizer), tokenizer.eos) == (49408, 49407)


def test_an_exclamation_mark_is_no_padding() -> None:
    tokenizer = BytePairTokenizer({})
    ids = tokenizer.encode_batch(["a !% sea"], 77)
    assert ids[0, 2] == 0  # its id is that of the padding
    assert cut(ids, tokenizer.eos)[0, -2:].tolist() == [*tokenizer.encode_batch(["sea"], 3)[0, 1:]]


def test_ids_are_cut_after_the_longest_text() -> None:
    ids = np.array([[1, 7, EOS, 0, 0, 0], [1, 7, 8, EOS, 0, 0]])
    assert torch.equal(cut(ids, EOS), torch.from_numpy(ids[:, :4]))
    assert cut(ids[:0], EOS).shape == (0, 1)


def test_a_row_without_eos_ends_at_its_last_token() -> None:
    tokens = torch.tensor([[5, 6, 7], [5, EOS, EOS]])
    assert end_of_text(tokens, EOS).tolist() == [2, 1]


def test_a_hub_tokenizer_cleans_as_its_model_was_trained(
    siglip: Architecture, hub_tokenizer: Path
) -> None:
    tokenizer = tokenizer_of(siglip, str(hub_tokenizer))
    ids = tokenizer.encode_batch(["The SEA.", "the sea"], 6)
    assert ids[0].tolist() == ids[1].tolist() == [8, 9, 1, 1, 1, 1]  # `</s>` is also the padding


def test_an_id_that_the_tower_lacks_is_refused(hub_tokenizer: Path) -> None:
    tokenizer = HubTokenizer(str(hub_tokenizer), 6, None, {})
    assert tokenizer.encode_batch(["a photo"], 4).tolist() == [[2, 3, 1, 1]]
    with pytest.raises(
        ValueError, match=r"gives id 6, but the text tower knows 6; set `tokenizer`"
    ):
        tokenizer.encode_batch(["a boat"], 4)


def test_a_stripped_separator_ends_a_text_as_zero(hub_tokenizer: Path) -> None:
    options = {"strip_sep_token": True, "sep_token": "</s>"}
    tokenizer = HubTokenizer(str(hub_tokenizer), 24, None, options)
    ids = tokenizer.encode_batch(["a boat"], 4)
    assert ids.tolist() == [[2, 6, 0, 0]]
    assert end_of_text(torch.from_numpy(ids), tokenizer.eos).tolist() == [2]


def test_without_network_the_refusal_says_what_to_fetch(
    siglip: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = (
        r"nobody/tiny-siglip cannot be loaded .* https://huggingface\.co/nobody/tiny-siglip .*"
    )
    with pytest.raises(ModelFolderError, match=message + "set `tokenizer` to the folder"):
        tokenizer_of(siglip, None)


def test_a_folder_that_is_no_tokenizer_is_refused(siglip: Architecture, tmp_path: Path) -> None:
    with pytest.raises(
        ModelFolderError, match=r"gone', which is no folder; put nobody/tiny-siglip"
    ):
        tokenizer_of(siglip, str(tmp_path / "gone"))
    with pytest.raises(ModelFolderError, match=r"cannot be loaded .* expected a folder that"):
        tokenizer_of(siglip, str(tmp_path))


def test_a_tokenizer_without_special_tokens_is_refused(hub_tokenizer: Path, tmp_path: Path) -> None:
    shutil.copytree(hub_tokenizer, tmp_path, dirs_exist_ok=True)
    options = {"eos_token": None, "pad_token": None, "sep_token": None}
    with pytest.raises(ModelFolderError, match="has no end-of-text, separator or padding token"):
        HubTokenizer(str(tmp_path), 24, None, options)


@pytest.mark.parametrize("kind", ["bert", "t5", "gemma"])
def test_a_folder_without_a_vocabulary_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ModelFolderError, match="knows no words; put the tokenizer's own files"):
        HubTokenizer(str(tmp_path), 24, None, {})


def test_a_folder_given_to_byte_pairs_is_refused(vit: Architecture, hub_tokenizer: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"tiny-vit reads the byte pairs .* leave out"):
        tokenizer_of(vit, str(hub_tokenizer))


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "others"}'])
def test_a_broken_vocabulary_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(VocabularyError, match=r"vocabulary\.json is"):
        load_text_tokenizer(tmp_path / "vocabulary.json")


def test_a_missing_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vocabulary\.json does not exist"):
        load_text_tokenizer(tmp_path / "vocabulary.json")
