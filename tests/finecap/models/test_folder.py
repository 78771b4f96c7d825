"""Model folders: what is refused, and by which name."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from finecap.models.folder import (
    ModelFolderError,
    has_random_weights,
    read_config,
    read_weights,
    write_config,
    write_random_weights,
    write_weights,
)


def test_a_config_comes_back_as_written(tmp_path: Path) -> None:
    write_config(tmp_path, {"family": "transformer", "width": 8})
    assert read_config(tmp_path, {"family"}) == {"family": "transformer", "width": 8}


def test_a_config_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, {"width": 8})
    with pytest.raises(ModelFolderError, match="lacks family"):
        read_config(tmp_path, {"family"})


def test_a_broken_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"family"')
    with pytest.raises(ModelFolderError, match=r"config\.json: not JSON"):
        read_config(tmp_path, {"family"})


def test_random_weights_are_marked_in_their_header(tmp_path: Path) -> None:
    tensors = {"weight": torch.zeros(2)}
    write_random_weights(tmp_path / "new" / "a.safetensors", tensors)
    save_file(tensors, tmp_path / "b.safetensors")
    (tmp_path / "c.bin").write_bytes(b"")
    assert has_random_weights(tmp_path / "new" / "a.safetensors")
    assert not has_random_weights(tmp_path / "b.safetensors")
    assert not has_random_weights(tmp_path / "c.bin")


def test_weights_that_share_storage_are_saved(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).view(2, 3)
    write_weights(tmp_path, {"weight": tensor, "bias": tensor[:, 0]})
    linear = nn.Linear(3, 2)
    read_weights(linear, tmp_path / "model.safetensors")
    assert torch.equal(linear.weight, tensor)
    assert torch.equal(linear.bias, tensor[:, 0])


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="does not exist; random weights are never used"):
        read_weights(nn.Linear(1, 1), tmp_path / "model.safetensors")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "model.safetensors"
    foreign.write_text(json.dumps({"not": "tensors"}))
    with pytest.raises(ModelFolderError, match="truncated or foreign"):
        read_weights(nn.Linear(1, 1), foreign)


def test_nothing_half_written_stays_behind(tmp_path: Path) -> None:
    write_config(tmp_path, {"family": "transformer"})
    write_weights(tmp_path, {"weight": torch.zeros(1)})
    assert not list(tmp_path.glob("*.partial"))
