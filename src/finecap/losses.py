"""The equations: losses and baselines as pure functions of tensors. No models, no loops, no text.

Shapes use the letters fixed in `finecap/__init__.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor,
    extra_text_features: Tensor | None = None,
) -> Tensor:
    """Symmetric InfoNCE between matching rows (CLIP, Radford et al. 2021, figure 3).

    Texts that belong to no image are more columns an image must not choose, hard negatives as in
    NegCLIP (Yuksekgonul et al. 2023, "When and why vision-language models behave like
    bags-of-words", section 4). With unit vectors x of images, y of their texts, z of those others
    and the scale s:

        image to text   -log exp(s x_i y_i) / (sum_j exp(s x_i y_j) + sum_e exp(s x_i z_e))
        text to image   -log exp(s x_i y_i) / sum_j exp(s x_j y_i)      no z: it has no image

    Args:
        image_features: (B, D), unit length.
        text_features: (B, D), unit length.
        logit_scale: (), the inverse temperature, already exponentiated.
        extra_text_features: (E, D), unit length, of texts that match no image; None: E = 0.

    Returns:
        (), the mean of the image-to-text and text-to-image cross-entropies.
    """
    _check(image_features, 2, text_features)
    logits = logit_scale * image_features @ text_features.T  # (B, B)
    labels = torch.arange(len(logits), device=logits.device)
    by_image = logits
    if extra_text_features is not None:
        _check(extra_text_features[:1], 2, text_features[:1])
        extra = logit_scale * image_features @ extra_text_features.T  # (B, E)
        by_image = torch.cat([logits, extra], -1)  # (B, B), (B, E) -> (B, B + E)
    return (F.cross_entropy(by_image, labels) + F.cross_entropy(logits.T, labels)) / 2


def sigmoid_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    extra_text_features: Tensor | None = None,
) -> Tensor:
    """Every pair judged on its own: does it match? (SigLIP, Zhai et al. 2023, equation 1).

    Args:
        image_features: (B, D), unit length.
        text_features: (B, D), unit length.
        logit_scale: (), the inverse temperature t, already exponentiated.
        logit_bias: (), b.
        extra_text_features: (E, D), unit length, of texts that match no image; None: E = 0.

    Returns:
        (), -1/B times the sum over all B x (B + E) pairs of log sigmoid(z (t cos(image, text) + b))
        with z = 1 for matching rows, -1 for others.
    """
    _check(image_features, 2, text_features)
    if extra_text_features is not None:
        _check(extra_text_features[:1], 2, text_features[:1])
        text_features = torch.cat([text_features, extra_text_features])  # (B + E, D)
    logits = logit_scale * image_features @ text_features.T + logit_bias  # (B, B + E)
    signs = 2 * torch.eye(*logits.shape, device=logits.device) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def word_targets(token_ids: Tensor, n_words: int, first_word: int) -> Tensor:
    """What `word_loss` aims at: the words of each text, rare ones weighing more.

    Args:
        token_ids: (N, T), the texts.
        n_words: V, specials included.
        first_word: ids below it are specials and weigh nothing.

    Returns:
        (N, V), rows sum to 1: the inverse document frequency of the words the text has.
    """
    present = torch.zeros(len(token_ids), n_words).scatter_(1, token_ids, 1.0)
    present[:, :first_word] = 0
    idf = torch.log(len(present) / (present.sum(0) + 1)).clamp(min=0)
    weighed = present * idf
    return weighed / weighed.sum(-1, keepdim=True).clamp(min=1e-6)


def word_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of predicting a text's words from its image (SuperClass, Huang et al. 2024).

    Contrast alone is won by colour and background; naming every word makes the tower see what
    things are, and leaves it readable in the grid.

    Args:
        logits: (B, V).
        targets: (B, V), rows sum to 1.
    """
    _check(logits, 2, targets)
    return -(targets * logits.log_softmax(-1)).sum(-1).mean()


def own_negative_loss(
    image_features: Tensor, positive: Tensor, negative: Tensor, logit_scale: Tensor
) -> Tensor:
    """Cross-entropy of an image choosing its caption over a negative made from that caption.

    Args:
        image_features: (B, D), unit length.
        positive: (B, D), features of the captions.
        negative: (B, D), features of the same captions with an attribute removed or swapped.
        logit_scale: ().

    Returns:
        (), mean of -log sigmoid(scale * (cos(image, positive) - cos(image, negative))).
    """
    _check(image_features, 2, positive, negative)
    margin = (image_features * (positive - negative)).sum(-1)  # (B, D) -> (B,)
    return -F.logsigmoid(logit_scale * margin).mean()


def through_eos(tokens: Tensor, eos: int) -> Tensor:
    """Mask of the tokens the policy chose: up to the first EOS, that EOS included.

    A row without an EOS counts whole: nothing is forced at the length limit, so nothing that the
    policy did not choose is scored.

    Args:
        tokens: (..., T), integer.
        eos: the id that ends a caption.

    Returns:
        (..., T), bool, True = counts.
    """
    ended = (tokens == eos).cumsum(-1)
    return (ended - (tokens == eos).long()) == 0


def leave_one_out_baseline(reward: Tensor) -> Tensor:
    """Mean reward of the other samples of the same image (RLOO, Kool et al. 2019).

    Args:
        reward: (B, K), K >= 2.

    Returns:
        (B, K), the baseline of each sample.
    """
    K = reward.shape[-1]
    if K < 2:  # noqa: PLR2004 one sample has no others
        raise ValueError(f"leave-one-out needs K >= 2 samples per image, came: K = {K}")
    return (reward.sum(-1, keepdim=True) - reward) / (K - 1)


def self_critical_loss(log_probs: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Policy-gradient loss whose gradient is that of -E[R] (Rennie et al. 2017, equation 8).

    Args:
        log_probs: (B, K, T), log p of each sampled token.
        advantage: (B, K), reward minus baseline; no gradient flows into it.
        mask: (B, K, T), True where the token was chosen by the policy.

    Returns:
        (), -mean over B and K of advantage * log p(caption).
    """
    _check(log_probs, 3, mask)
    caption_log_probs = (log_probs * mask).sum(-1)  # (B, K, T) -> (B, K)
    return -(advantage.detach() * caption_log_probs).mean()


def token_log_probs(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Log p of each token that counts, 0 for the others: log p(w^s) of Rennie et al. 2017.

    One log-softmax is kept for the backward pass, and nothing else of the vocabulary's size. PAD
    after the EOS has log p = -inf; it is masked before it can turn into NaN.

    Args:
        logits: (..., T, V), -inf for tokens that may not be chosen.
        tokens: (..., T), integer.
        mask: (..., T), True = counts.

    Returns:
        (..., T), <= 0.
    """
    ignored = -100
    targets = tokens.masked_fill(~mask, ignored)
    losses = F.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=ignored, reduction="none"
    )
    return -losses.view_as(tokens)


def kl_to_reference(logits: Tensor, reference_logits: Tensor, mask: Tensor) -> Tensor:
    """KL(policy || reference) per chosen token, exact over the vocabulary.

    Args:
        logits: (..., T, V) of the policy.
        reference_logits: (..., T, V) of the frozen maximum-likelihood model.
        mask: (..., T), True = counts.

    Returns:
        (), mean over captions of the mean over a caption's tokens that count.
    """
    log_p = F.log_softmax(logits, -1)
    log_q = F.log_softmax(reference_logits, -1)
    # Words masked out of the softmax have p = 0 and log p = -inf on both sides: they add nothing.
    difference = torch.where(log_p.isinf(), torch.zeros_like(log_p), log_p - log_q)
    kl = (log_p.exp() * difference).sum(-1)  # (..., T, V) -> (..., T)
    return ((kl * mask).sum(-1) / mask.sum(-1).clamp(min=1)).mean()


def _check(first: Tensor, rank: int, *others: Tensor) -> None:
    """Refuse tensors of another rank or shape at the door."""
    if first.ndim != rank or any(other.shape != first.shape for other in others):
        shapes = [tuple(t.shape) for t in (first, *others)]
        raise ValueError(f"expected tensors of one shape and rank {rank}, came: {shapes}")
