"""The default captioner: cached decoding, scoring and saving agree with one another."""

from pathlib import Path

import pytest
import torch

from finecap.data.tokenizer import BOS, PAD, UNK, WordTokenizer
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.folder import ModelFolderError
from finecap.models.transformer import TransformerCaptioner, TransformerShape


@pytest.fixture
def captioner() -> TransformerCaptioner:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    return TransformerCaptioner(TransformerShape(6, 16, 4, 1, 2, 0.1, 8), tokenizer).eval()


def test_it_is_a_captioner(captioner: TransformerCaptioner) -> None:
    assert isinstance(captioner, Captioner)


def test_cached_steps_equal_the_teacher_forced_pass(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(2, 5, 6)
    inputs = torch.randint(4, len(captioner.tokenizer), (2, 3, 6))
    inputs[..., 0] = BOS
    forced = captioner.teacher_forced(captioner.memory(grid), inputs)  # (B, K, T, V)
    state = captioner.begin(captioner.memory(grid), 3)
    for t in range(6):
        torch.testing.assert_close(captioner.step(inputs[..., t], state), forced[..., t, :])


def test_samples_of_one_image_do_not_see_each_other(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(1, 5, 6)
    together = torch.randint(4, len(captioner.tokenizer), (1, 4, 6))
    alone = captioner.teacher_forced(captioner.memory(grid), together[:, 2:3])
    torch.testing.assert_close(
        captioner.teacher_forced(captioner.memory(grid), together)[:, 2:3], alone
    )


def test_a_word_is_blind_to_the_words_after_it(captioner: TransformerCaptioner) -> None:
    grid = torch.randn(1, 5, 6)
    inputs = torch.randint(4, len(captioner.tokenizer), (1, 1, 6))
    changed = inputs.clone()
    changed[..., 4:] = 5
    before, after = (
        captioner.teacher_forced(captioner.memory(grid), x)[..., :4, :] for x in (inputs, changed)
    )
    torch.testing.assert_close(before, after)


def test_specials_can_never_be_chosen_in_scoring_or_sampling(
    captioner: TransformerCaptioner,
) -> None:
    grid, bos = torch.randn(1, 5, 6), torch.full((1, 1, 1), BOS)
    scored = captioner.teacher_forced(captioner.memory(grid), bos)[0, 0, 0]
    sampled = captioner.step(bos[..., 0], captioner.begin(captioner.memory(grid), 1))[0, 0]
    for logits in (scored, sampled):
        assert logits[[PAD, BOS, UNK]].isneginf().all()
        assert logits.isfinite().sum() == len(captioner.tokenizer) - 3


def test_a_grid_of_other_channels_is_refused(captioner: TransformerCaptioner) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, P, 6\), came \(1, 5, 7\)"):
        captioner.memory(torch.randn(1, 5, 7))


def test_a_saved_captioner_answers_as_before(
    captioner: TransformerCaptioner, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    grid, inputs = torch.randn(2, 5, 6), torch.full((2, 1, 1), BOS)
    again = load_captioner(tmp_path)
    assert torch.equal(
        captioner.teacher_forced(captioner.memory(grid), inputs),
        again.teacher_forced(again.memory(grid), inputs),
    )


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"nowhere: no config\.json"):
        load_captioner(tmp_path / "nowhere")


def test_missing_weights_are_never_replaced_by_random_ones(
    captioner: TransformerCaptioner, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"model.safetensors does not exist; random weights"):
        load_captioner(tmp_path)


def test_truncated_weights_are_refused_by_name(
    captioner: TransformerCaptioner, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelFolderError, match=r"model.safetensors is truncated or foreign"):
        load_captioner(tmp_path)


def test_weights_of_another_size_are_refused(
    captioner: TransformerCaptioner, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    other = TransformerCaptioner(TransformerShape(6, 8, 4, 1, 2, 0.1, 8), captioner.tokenizer)
    other.save(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(ModelFolderError, match="is of another architecture"):
        load_captioner(tmp_path)
