"""The captioner's seam: what a folder says decides which class is loaded, or that none is."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finecap.data.tokenizer import BOS, EOS, PAD, UNK, WordTokenizer
from finecap.models.captioner import Captioner, load_captioner, never_chosen
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


def test_a_captioner_of_grids_reads_no_pixels(tiny: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match=r"TransformerCaptioner reads grid features, not \(1, 2"):
        load_captioner(tiny.mle).pixel_values(np.zeros((1, 2, 2, 3), dtype=np.uint8))


def test_a_captioner_learns_as_one_part(tiny: SimpleNamespace) -> None:
    captioner = load_captioner(tiny.mle)
    assert captioner.learning_parts(0.1) == [(captioner, 1.0)]


def test_a_pad_that_is_the_eos_may_be_chosen() -> None:
    words = WordTokenizer(["a"])
    assert never_chosen(words).isneginf().nonzero().flatten().tolist() == [PAD, BOS, UNK]
    words.pad = EOS
    assert never_chosen(words).isneginf().nonzero().flatten().tolist() == [BOS, UNK]


def test_more_tokens_than_it_was_trained_for_are_refused(tiny: SimpleNamespace) -> None:
    captioner = load_captioner(tiny.mle)
    grid = torch.randn(1, 2, read_config(tiny.mle, set())["grid_channels"])
    state = captioner.begin(captioner.memory(grid), 1)
    with pytest.raises(ValueError, match=r"more than 29 tokens .* `max_tokens` 28"):  # noqa: PT012
        for _ in range(40):
            captioner.step(torch.full((1, 1), 5), state)
