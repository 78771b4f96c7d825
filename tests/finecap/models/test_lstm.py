"""The LSTM captioner against the paper's equations, written out with torch's own cells."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from finecap.data.tokenizer import BOS, WordTokenizer
from finecap.models.folder import ModelFolderError, read_config, write_config
from finecap.models.lstm import LstmCaptioner, LstmShape

W = 8


@pytest.fixture
def captioner() -> LstmCaptioner:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    return LstmCaptioner(LstmShape(6, W, 0.1, 8), tokenizer).eval()


def cell_of(parts: list[Tensor], hidden: Tensor, bias: Tensor) -> nn.LSTMCell:
    """An LSTM cell whose input is what `parts` are the matrices of, side by side."""
    cell = nn.LSTMCell(sum(p.shape[1] for p in parts), W)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.cat(parts, dim=1))
        cell.weight_hh.copy_(hidden)
        cell.bias_ih.copy_(bias)
        cell.bias_hh.zero_()
    return cell


def equations(m: LstmCaptioner, grid: Tensor, words: Tensor) -> Tensor:
    """Logits (T, V) of one caption (T,) of one image (P, C), one equation a line."""
    of_h2, of_h1 = m.attention_gates.weight.split(W, dim=1)
    first = cell_of([of_h2, m.mean_gates.weight, m.word_gates.weight], of_h1, m.word_gates.bias)
    of_cell, of_h1, of_h2 = m.language_gates.weight.split(W, dim=1)
    second = cell_of([of_cell, of_h1], of_h2, m.language_gates.bias)
    v = m.grid_project(m.grid_norm(grid)).relu()  # (P, W)
    h1 = c1 = h2 = c2 = torch.zeros(W)
    logits = []
    for word in words:
        x1 = torch.cat([h2, v.mean(0), m.embedding.weight[word]])  # 2
        h1, c1 = first(x1, (h1, c1))  # 1
        w_va, w_ha = m.attention_key, m.attention_query
        a = torch.stack([m.attention_score(torch.tanh(w_va(cell) + w_ha(h1))) for cell in v])  # 3
        alpha = a.softmax(0)  # 4
        attended = (alpha * v).sum(0)  # 5
        h2, c2 = second(torch.cat([attended, h1]), (h2, c2))  # 6
        logits.append(m.output(m.final_norm(h2)))  # 7
    return torch.stack(logits)


def test_scores_follow_the_papers_equations(captioner: LstmCaptioner) -> None:
    grid = torch.randn(2, 5, 6)
    ids = torch.randint(4, len(captioner.tokenizer), (2, 3, 7))
    with torch.no_grad():
        logits = captioner.teacher_forced(captioner.memory(grid), ids)
        expected = torch.stack([
            torch.stack([equations(captioner, image, caption) for caption in captions])
            for image, captions in zip(grid, ids, strict=True)
        ])  # fmt: skip
    chosen = logits.isfinite()
    torch.testing.assert_close(logits[chosen], expected[chosen])


def test_what_is_known_of_an_image_is_computed_once_for_all_samples(
    captioner: LstmCaptioner,
) -> None:
    memory = captioner.memory(torch.randn(2, 5, 6))
    assert len(memory) == 2
    state = captioner.begin(memory, 50)
    captioner.step(torch.full((2, 50), BOS), state)
    assert state.memory is memory
    assert memory.keys.shape == memory.values.shape == (2, 5, W)


def test_words_are_dropped_only_in_training(captioner: LstmCaptioner) -> None:
    grid, ids = torch.randn(1, 5, 6), torch.full((1, 1, 3), BOS)

    def score() -> Tensor:
        return captioner.teacher_forced(captioner.memory(grid), ids)

    assert torch.equal(score(), score())
    captioner.train()
    assert not torch.equal(score(), score())


def test_captions_have_no_length_limit(captioner: LstmCaptioner) -> None:
    state = captioner.begin(captioner.memory(torch.randn(1, 5, 6)), 1)
    logits = [captioner.step(torch.full((1, 1), 5), state) for _ in range(100)]
    assert not torch.stack(logits).isnan().any()


@pytest.mark.parametrize("shape", [(1, 5, 7), (5, 6)])
def test_a_grid_of_other_channels_is_refused(
    captioner: LstmCaptioner, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, P, 6\), came \(.*\)"):
        captioner.memory(torch.randn(shape))


def test_a_folder_without_a_size_is_refused_by_name(
    captioner: LstmCaptioner, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    config = read_config(tmp_path, set())
    write_config(tmp_path, {k: v for k, v in config.items() if k != "width"})
    with pytest.raises(ModelFolderError, match=r"config\.json: lacks width"):
        LstmCaptioner.load(tmp_path)
