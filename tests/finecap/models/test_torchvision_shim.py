"""With the shim imported first, torchvision and what builds on it can be imported."""

import importlib.util

import pytest
import torch

from finecap.models import torchvision_shim


def test_the_operator_torchvision_registers_exists() -> None:
    import torchvision

    assert torchvision.ops.nms
    assert torch.ops.torchvision.nms.default  # raises where the schema is missing


def test_open_clip_and_timm_import() -> None:
    import open_clip
    import timm

    assert open_clip.list_models()
    assert timm.is_model("mobilenetv2_100")


def test_a_missing_torchvision_is_left_to_its_own_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        assert name == "torchvision"

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    assert torchvision_shim._operators_load()  # pyright: ignore[reportPrivateUsage]
