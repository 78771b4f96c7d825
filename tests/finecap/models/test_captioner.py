"""The captioner's seam: what a folder says decides which class is loaded, or that none is."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from finecap.models.captioner import Captioner, load_captioner
from finecap.models.decoding import decode
from finecap.models.folder import ModelFolderError, read_config, write_config


def test_a_saved_captioner_comes_back_in_eval_mode(tiny: SimpleNamespace) -> None:
    captioner = load_captioner(tiny.mle)
    assert isinstance(captioner, Captioner)
    assert not captioner.training


def test_a_saved_captioner_speaks_as_before(tiny: SimpleNamespace, tmp_path: Path) -> None:
    captioner = load_captioner(tiny.mle)
    captioner.save(tmp_path)
    grid = torch.randn(3, 2, read_config(tiny.mle, set())["grid_channels"])
    again = load_captioner(tmp_path)
    expected = decode(captioner, captioner.memory(grid), 8)
    assert torch.equal(decode(again, again.memory(grid), 8), expected)


def test_an_unknown_family_is_refused_by_name(tmp_path: Path) -> None:
    write_config(tmp_path, {"family": "oracle"})
    with pytest.raises(ModelFolderError, match="unknown captioner family 'oracle'"):
        load_captioner(tmp_path)


def test_an_encoder_is_no_captioner(tiny: SimpleNamespace) -> None:
    with pytest.raises(ModelFolderError, match=r"config\.json: lacks family"):
        load_captioner(tiny.encoder)


def test_more_tokens_than_it_was_trained_for_are_refused(tiny: SimpleNamespace) -> None:
    captioner = load_captioner(tiny.mle)
    grid = torch.randn(1, 2, read_config(tiny.mle, set())["grid_channels"])
    state = captioner.begin(captioner.memory(grid), 1)
    with pytest.raises(ValueError, match=r"more than 29 tokens .* `max_tokens` 28"):  # noqa: PT012
        for _ in range(40):
            captioner.step(torch.full((1, 1), 5), state)
