"""The equations against hand-computed numbers and exact enumeration."""

import itertools
import math
from functools import partial

import pytest
import torch
from open_clip.loss import SigLipLoss
from torch import Tensor

from finecap.data.tokenizer import BOS, EOS, PAD, WordTokenizer
from finecap.losses import (
    contrastive_loss,
    kl_to_reference,
    leave_one_out_baseline,
    own_negative_loss,
    self_critical_loss,
    sigmoid_loss,
    through_eos,
    token_log_probs,
    word_loss,
    word_targets,
)
from finecap.models.decoding import decode
from finecap.models.transformer import TransformerCaptioner, TransformerShape

MAX_TOKENS = 4


@pytest.fixture(scope="module")
def policy() -> TransformerCaptioner:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.build(["red boat sea"], 1)
    shape = TransformerShape(3, 8, 2, 1, 1, 0.0, MAX_TOKENS)
    return TransformerCaptioner(shape, tokenizer).double().eval()


def all_captions() -> Tensor:
    """Every caption of at most 4 tokens over a 3-word vocabulary, PAD after EOS: (121, 4)."""
    words = [4, 5, 6]
    ended = [
        [*prefix, EOS] + [PAD] * (MAX_TOKENS - 1 - n)
        for n in range(MAX_TOKENS)
        for prefix in itertools.product(words, repeat=n)
    ]
    cut_off = [list(c) for c in itertools.product(words, repeat=MAX_TOKENS)]
    return torch.tensor(ended + cut_off)


def scored(policy: TransformerCaptioner, grid: Tensor, tokens: Tensor) -> Tensor:
    """(B, K, T) log p of each token, 0 where it does not count."""
    inputs = torch.cat([torch.full_like(tokens[..., :1], BOS), tokens[..., :-1]], -1)
    logits = policy.teacher_forced(policy.memory(grid), inputs)
    return token_log_probs(logits, tokens, through_eos(tokens, EOS))


def gradient(policy: TransformerCaptioner, value: Tensor) -> Tensor:
    grads = torch.autograd.grad(
        value, list(policy.parameters()), retain_graph=True, allow_unused=True
    )
    return torch.cat([g.flatten() for g in grads if g is not None])  # pyright: ignore[reportUnnecessaryComparison]


@pytest.fixture(scope="module")
def enumeration(policy: TransformerCaptioner) -> dict[str, Tensor]:
    """All captions with their rewards, token log-probs and probabilities under the policy."""
    tokens = all_captions()[None]  # (1, 121, 4)
    grid = torch.randn(1, 2, 3, dtype=torch.double)
    reward = torch.randn(1, tokens.shape[1], dtype=torch.double)
    log_probs = scored(policy, grid, tokens)
    return {"tokens": tokens, "grid": grid, "reward": reward, "log_probs": log_probs}


def test_enumerated_captions_have_probability_one(enumeration: dict[str, Tensor]) -> None:
    assert enumeration["log_probs"].sum(-1).exp().sum().item() == pytest.approx(1.0, abs=1e-9)


def exact_gradient(policy: TransformerCaptioner, e: dict[str, Tensor]) -> Tensor:
    expected_reward = (e["log_probs"].sum(-1).exp() * e["reward"]).sum()
    return gradient(policy, expected_reward)


def test_gradient_with_greedy_baseline_equals_exact_enumeration(
    policy: TransformerCaptioner, enumeration: dict[str, Tensor]
) -> None:
    e = enumeration
    greedy = decode(policy, policy.memory(e["grid"]), MAX_TOKENS)[0, 0]
    padded = torch.nn.functional.pad(greedy, (0, MAX_TOKENS - len(greedy)))
    baseline = e["reward"][0, int((e["tokens"][0] == padded).all(-1).nonzero())]
    p = e["log_probs"].sum(-1).exp().detach()  # (1, 121)
    # The estimator averages over samples; weighting each caption by p gives its expectation.
    advantage = (e["reward"] - baseline) * p * p.shape[1]
    loss = self_critical_loss(e["log_probs"], advantage, through_eos(e["tokens"], EOS))
    torch.testing.assert_close(gradient(policy, -loss), exact_gradient(policy, e))


def test_gradient_with_leave_one_out_equals_exact_enumeration(
    policy: TransformerCaptioner, enumeration: dict[str, Tensor]
) -> None:
    e = enumeration
    n = e["tokens"].shape[1]
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))  # all draws of K = 2
    reward = e["reward"][0][pairs]  # (n * n, 2)
    p = e["log_probs"].sum(-1).exp().detach()[0]
    weight = p[pairs].prod(-1, keepdim=True) * len(pairs)
    advantage = (reward - leave_one_out_baseline(reward)) * weight
    mask = through_eos(e["tokens"], EOS)[0][pairs]
    loss = self_critical_loss(e["log_probs"][0][pairs], advantage, mask)
    torch.testing.assert_close(gradient(policy, -loss), exact_gradient(policy, e))


def test_advantage_is_zero_when_sample_equals_greedy() -> None:
    log_probs = torch.randn(1, 2, 3, requires_grad=True)
    reward = torch.tensor([[0.7, 0.7]])
    loss = self_critical_loss(log_probs, reward - 0.7, torch.ones(1, 2, 3, dtype=torch.bool))
    loss.backward()
    assert log_probs.grad is not None
    assert not log_probs.grad.any()


def test_a_better_sample_becomes_likelier() -> None:
    log_probs = torch.zeros(1, 2, 1, requires_grad=True)
    advantage = torch.tensor([[1.0, -1.0]])
    self_critical_loss(log_probs, advantage, torch.ones(1, 2, 1, dtype=torch.bool)).backward()
    assert log_probs.grad is not None
    descent = -log_probs.grad[0, :, 0]
    assert descent[0] > 0 > descent[1]


def test_loss_is_blind_to_what_follows_eos() -> None:
    tokens = torch.tensor([[[5, EOS, 6, 6]]])
    mask = through_eos(tokens, EOS)
    log_probs = torch.randn(1, 1, 4)
    changed = log_probs.clone()
    changed[..., 2:] = 99.0
    advantage = torch.tensor([[1.5]])
    assert self_critical_loss(log_probs, advantage, mask) == self_critical_loss(
        changed, advantage, mask
    )


def test_mask_runs_through_the_first_eos() -> None:
    tokens = torch.tensor([[5, EOS, EOS, PAD], [5, 6, 5, 6], [EOS, PAD, PAD, PAD]])
    expected = [[True, True, False, False], [True] * 4, [True, False, False, False]]
    assert through_eos(tokens, EOS).tolist() == expected


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    baseline = leave_one_out_baseline(torch.tensor([[1.0, 2.0, 6.0]]))
    torch.testing.assert_close(baseline, torch.tensor([[4.0, 3.5, 1.5]]))


def test_leave_one_out_refuses_a_single_sample() -> None:
    with pytest.raises(ValueError, match="K >= 2"):
        leave_one_out_baseline(torch.zeros(3, 1))


def test_contrastive_loss_of_equal_features_is_log_batch() -> None:
    features = torch.nn.functional.normalize(torch.ones(4, 8), dim=-1)
    loss = contrastive_loss(features, features, torch.tensor(10.0))
    assert loss.item() == pytest.approx(torch.log(torch.tensor(4.0)).item(), abs=1e-5)


def test_contrastive_loss_refuses_unmatched_rows() -> None:
    with pytest.raises(ValueError, match="one shape and rank 2"):
        contrastive_loss(torch.zeros(3, 8), torch.zeros(4, 8), torch.tensor(1.0))


def test_sigmoid_loss_is_open_clips() -> None:
    torch.manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(5, 8), dim=-1) for _ in range(2))
    scale, bias = torch.tensor(117.3), torch.tensor(-12.9)
    reference = SigLipLoss()(images, texts, scale, bias)
    torch.testing.assert_close(sigmoid_loss(images, texts, scale, bias), reference)


def test_sigmoid_loss_of_one_pair_is_its_equation() -> None:
    same = torch.tensor([[1.0, 0.0]])
    loss = sigmoid_loss(same, same, torch.tensor(3.0), torch.tensor(-1.0))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-(3 - 1))))


def test_sigmoid_loss_refuses_unmatched_rows() -> None:
    one = torch.tensor(1.0)
    with pytest.raises(ValueError, match="expected tensors of one shape"):
        sigmoid_loss(torch.ones(2, 4), torch.ones(3, 4), one, one)


def unit(*shape: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape), dim=-1)


def test_texts_of_no_image_are_columns_of_the_image_to_text_direction_alone() -> None:
    x, y, z, scale = unit(3, 8), unit(3, 8), unit(2, 8), torch.tensor(7.0)
    terms: list[float] = []
    for i in range(3):
        to_texts = [float((7 * x[i] @ text).exp()) for text in (*y, *z)]
        to_images = [float((7 * image @ y[i]).exp()) for image in x]
        terms += [math.log(sum(to_texts) / to_texts[i]), math.log(sum(to_images) / to_images[i])]
    loss = contrastive_loss(x, y, scale, z)
    assert loss.item() == pytest.approx(sum(terms) / 6, abs=1e-5)


def test_an_extra_text_near_an_image_is_pushed_away() -> None:
    image, text = torch.eye(2), torch.eye(2)
    extra = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = contrastive_loss(image, text, torch.tensor(5.0), extra)
    loss.backward()
    assert loss > contrastive_loss(image, text, torch.tensor(5.0))
    assert extra.grad is not None
    assert extra.grad[0, 0] > 0


def test_sigmoid_loss_judges_texts_of_no_image_as_matching_none() -> None:
    x, y, z = unit(3, 8), unit(3, 8), unit(2, 8)
    scale, bias = torch.tensor(7.0), torch.tensor(-3.0)
    extra = -torch.nn.functional.logsigmoid(-(7 * x @ z.T - 3)).sum() / 3
    expected = sigmoid_loss(x, y, scale, bias) + extra
    torch.testing.assert_close(sigmoid_loss(x, y, scale, bias, z), expected)


def test_extra_texts_of_another_width_are_refused() -> None:
    x, one = unit(3, 8), torch.tensor(1.0)
    for loss in (contrastive_loss, partial(sigmoid_loss, logit_bias=one)):
        with pytest.raises(ValueError, match=r"rank 2, came: \[\(1, 4\), \(1, 8\)\]"):
            loss(x, x, one, extra_text_features=unit(5, 4))


def test_own_negative_loss_falls_as_the_positive_comes_closer() -> None:
    image = torch.tensor([[1.0, 0.0]])
    negative = torch.tensor([[0.6, 0.8]])
    near = own_negative_loss(image, torch.tensor([[1.0, 0.0]]), negative, torch.tensor(10.0))
    far = own_negative_loss(image, negative, negative, torch.tensor(10.0))
    assert near < far


def test_kl_to_itself_is_zero_and_survives_masked_words() -> None:
    logits = torch.randn(2, 3, 5)
    logits[..., 0] = float("-inf")
    logits.requires_grad_()
    kl = kl_to_reference(logits, logits.detach(), torch.ones(2, 3, dtype=torch.bool))
    kl.backward()
    assert kl.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_kl_counts_masked_tokens_only() -> None:
    logits, other = torch.randn(1, 2, 5), torch.randn(1, 2, 5)
    mask = torch.tensor([[True, False]])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits[0, 0]),
        torch.distributions.Categorical(logits=other[0, 0]),
    )
    torch.testing.assert_close(kl_to_reference(logits, other, mask), expected)


def test_word_targets_weigh_rare_words_more() -> None:
    a, red, boat = 4, 5, 6  # in 3, 1 and 2 of 4 texts
    texts = torch.tensor([[a, red, boat], [a, boat, PAD], [a, PAD, PAD], [PAD, PAD, PAD]])
    targets = word_targets(texts, n_words=7, first_word=4)
    once, twice = torch.log(torch.tensor(4 / 2)), torch.log(torch.tensor(4 / 3))
    expected = torch.tensor([0.0, 0, 0, 0, 0, once, twice]) / (once + twice)
    torch.testing.assert_close(targets[0], expected)
    torch.testing.assert_close(targets[1], torch.eye(7)[boat])


def test_word_targets_of_no_telling_word_are_zero() -> None:
    targets = word_targets(torch.tensor([[BOS, EOS, PAD], [4, 4, 4]]), n_words=6, first_word=4)
    assert not targets.any()


def test_word_targets_count_a_repeated_word_once() -> None:
    texts = torch.tensor([[4, 4, 5], [6, 6, 6], [6, 6, 6]])
    assert word_targets(texts, n_words=7, first_word=4)[0, 4:].tolist() == [0.5, 0.5, 0.0]


def test_word_loss_is_the_cross_entropy_of_its_targets() -> None:
    logits = torch.randn(3, 5)
    words = torch.tensor([1, 4, 2])
    expected = torch.nn.functional.cross_entropy(logits, words)
    torch.testing.assert_close(word_loss(logits, torch.eye(5)[words]), expected)


def test_word_loss_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="one shape and rank 2"):
        word_loss(torch.zeros(3, 5), torch.zeros(3, 4))
