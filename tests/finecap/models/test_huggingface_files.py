"""A model folder is read whole or refused by the name of what is wrong with it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from finecap.models.folder import ModelFolderError
from finecap.models.huggingface_files import quiet, read_files


def copy_of(pretrained: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copytree(pretrained, tmp_path / pretrained.name))


@pytest.fixture
def folder(pretrained: Callable[..., Path], tmp_path: Path) -> Path:
    return copy_of(pretrained("git"), tmp_path)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Write the weights again, changed."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_folder_is_read_and_written_without_a_word(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read_files(str(folder)).save(tmp_path / "again")
    assert capfd.readouterr() == ("", "")
    names = {path.name for path in folder.iterdir()}
    assert {path.name for path in (tmp_path / "again").iterdir()} == names


def test_transformers_speaks_again_after_being_quiet() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with quiet():
        assert not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_missing_tensor_is_refused_by_name(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.pop("output.weight"))
    with pytest.raises(ModelFolderError, match=r"missing tensors output\.weight; random weights"):
        read_files(str(folder))


def test_an_unexpected_tensor_is_refused_by_name(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update(stray=torch.zeros(1)))
    with pytest.raises(ModelFolderError, match="have unexpected tensors stray"):
        read_files(str(folder))


def test_a_pooled_feature_that_nobody_reads_may_be_missing(
    pretrained: Callable[..., Path], tmp_path: Path
) -> None:
    """As in the published TrOCR."""
    folder = copy_of(pretrained("trocr"), tmp_path)
    whole = read_files(str(folder)).model.state_dict()
    pooler = {name for name in whole if name.startswith("encoder.pooler.")}
    change_weights(folder, lambda tensors: [tensors.pop(name) for name in pooler])
    read = read_files(str(folder)).model.state_dict()
    assert pooler
    assert set(read) == set(whole)
    assert all(torch.equal(read[name], whole[name]) for name in set(whole) - pooler)


def test_constants_that_were_once_saved_are_no_weights(
    pretrained: Callable[..., Path], tmp_path: Path
) -> None:
    """As in the published ViT-GPT2."""
    folder = copy_of(pretrained("gpt2"), tmp_path)
    block = "decoder.transformer.h.0.attn"
    names = [f"{block}.bias", f"{block}.masked_bias"]
    change_weights(folder, lambda tensors: tensors.update({n: torch.ones(1) for n in names}))
    assert set(names).isdisjoint(read_files(str(folder)).model.state_dict())


def test_many_missing_tensors_are_counted(folder: Path) -> None:
    change_weights(folder, lambda tensors: [tensors.pop(name) for name in list(tensors)[:10]])
    with pytest.raises(ModelFolderError, match="and 6 more; random weights are never used"):
        read_files(str(folder))


def test_a_tensor_of_another_shape_is_refused_by_name(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update({"output.bias": torch.zeros(3)}))
    with pytest.raises(ModelFolderError, match="cannot read its weights"):
        read_files(str(folder))


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelFolderError, match="cannot read its weights"):
        read_files(str(folder))


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("config.json", r"config\.json"),
        ("model.safetensors", "weights"),
        ("tokenizer.json", "tokenizer"),
        ("preprocessor_config.json", "image processor"),
    ],
)
def test_a_missing_file_is_refused_by_what_it_holds(folder: Path, file: str, part: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelFolderError, match=f"cannot read its {part} .* expected config.json"):
        read_files(str(folder))


@pytest.mark.parametrize("text", ["", "{}", '{"model": 1}'])
def test_a_damaged_tokenizer_is_refused(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ModelFolderError, match="cannot read its tokenizer"):
        read_files(str(folder))


def test_settings_of_the_wrong_type_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": "many"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFolderError, match=r"cannot read its config\.json .*vocab_size"):
        read_files(str(folder))


def test_a_model_of_another_kind_is_refused_with_the_known_kinds(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "bert"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFolderError, match=r"type 'bert', expected one of vision-enc.*, blip"):
        read_files(str(folder))


def test_weights_kept_in_half_precision_are_read_in_single(folder: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.half() for name, tensor in tensors.items()})

    change_weights(folder, halve)
    assert read_files(str(folder)).model.dtype == torch.float32


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/git", "a/b/c"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(ModelFolderError, match="there is no such folder; expected one with config"):
        read_files(name)


def test_without_network_a_name_of_the_hub_says_which_folder_would_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFolderError, match=r"put config.* into that folder") as caught:
        read_files("someone/captioner")
    assert f"there is no folder {tmp_path}/someone/captioner" in str(caught.value)
