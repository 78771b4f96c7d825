"""The terms that read a caption, its image's vector and its references: one equation, one class.

Each is made of `Ingredients` and gives (B, K) scores of an `EncodedBatch`. Terms with models or
tables of their own have modules of their own (`self_retrieval`, `image_text_matching`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from finecap.metrics import clipscore, fluency
from finecap.metrics.cider import CiderD
from finecap.metrics.language_model import NgramModel
from finecap.rewards.batch import EncodedBatch
from finecap.rewards.ingredients import Ingredients

_GRAMMAR_FLOOR = 60.0  # M, nats: below the worst that policies said (95 % above -58)


class ClipS:
    """w * max(cos(image, caption), 0), w = 2.5, prompt included: Hessel et al. 2021, section 3."""

    name = "clip_s"

    def __init__(self, ingredients: Ingredients) -> None:
        ingredients.encoder_for(self.name)

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 2.5]."""
        images = batch.batch.vectors.repeat_interleave(batch.K, 0)  # (B, D) -> (B * K, D)
        return clipscore.clip_s(images, batch.text_features.flatten(0, 1)).view(batch.B, batch.K)


class RefClipS:
    """Harmonic mean of `clip_s` and max(max_r cos(caption, r), 0): Hessel et al. 2021, section 3.

    As the metric's authors compute it: the cosine with the references is not multiplied by w.
    """

    name = "ref_clip_s"
    metric = staticmethod(clipscore.ref_clip_s)

    def __init__(self, ingredients: Ingredients) -> None:
        ingredients.encoder_for(self.name)
        self._reference_features = ingredients.reference_features

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 10/7]."""
        references, mask = self._reference_features(batch.batch.references)  # (B, R, D), (B, R)
        images, K = batch.batch.vectors, batch.K
        scores = self.metric(
            images.repeat_interleave(K, 0),
            batch.text_features.flatten(0, 1),
            references.to(images.device).repeat_interleave(K, 0),
            mask.to(images.device).repeat_interleave(K, 0),
        )  # (B * K,)
        return scores.view(batch.B, K)


class RefClipSScaled(RefClipS):
    """Harmonic mean of `clip_s` and w * max(max_r cos(caption, r), 0), w = 2.5, in [0, 2.5].

    The reward of Cho et al. 2022's published code; their paper cites the metric, which is
    `ref_clip_s`.
    """

    name = "ref_clip_s_scaled"
    metric = staticmethod(clipscore.ref_clip_s_scaled)


class Grammar:
    """g(c) in [0, 1], the grammar network on the same text encoder: Cho et al. 2022, section 3.2.

    Flat where a policy has lost the language: g is 0 for every word salad (log g is -60 to -20), so
    that no sample beats another and nothing leads back.
    """

    name = "grammar"

    def __init__(self, ingredients: Ingredients) -> None:
        ingredients.encoder_with_head_for(self.name)

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 1]."""
        return batch.grammar_log_scores.exp()


class GrammarLog:
    """1 + max(log g(c), -M) / M in [0, 1], M = 60: ranks what `grammar` rounds to 0."""

    name = "grammar_log"

    def __init__(self, ingredients: Ingredients) -> None:
        ingredients.encoder_with_head_for(self.name)

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 1]."""
        return bounded(batch.grammar_log_scores, _GRAMMAR_FLOOR)


class Cider:
    """CIDEr-D against the image's references, document frequencies from train, in [0, 10].

    Vedantam et al. 2015, section 8; with `cider_counts_eos` a caption's end counts as a word.
    """

    name = "cider"

    def __init__(self, ingredients: Ingredients) -> None:
        self._cider = CiderD(
            ingredients.train_for(self.name).references,
            count_eos=ingredients.options.cider_counts_eos,
        )

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 10]."""
        references = [own for own in batch.batch.references for _ in range(batch.K)]
        scores = self._cider.scores(batch.captions, references)
        return torch.from_numpy(scores).float().view(batch.B, batch.K)


class Length:
    """1 - d / s, with d = max(a - n, n - b, 0) the words that a caption of n has too few or many.

    The window [a, b] is `length_min` to `length_max`, s is `length_slack`. It goes on falling below
    0, so that a caption far outside gains by every word that it comes nearer.
    """

    name = "length"

    def __init__(self, ingredients: Ingredients) -> None:
        options = ingredients.options
        self._shortest, self._longest = options.length_min, options.length_max
        self._slack = options.length_slack

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K), at most 1."""
        return batch.each(self._scores)

    def _scores(self, captions: Sequence[str]) -> Tensor:
        n = torch.from_numpy(fluency.lengths(captions)).float()
        outside = torch.maximum(self._shortest - n, n - self._longest).clamp(min=0)
        return 1 - outside / self._slack


class Repetition:
    """-(rep_n + stutter) in [-2, 0], 0 for a caption that says nothing twice.

    rep_n = 1 - distinct n-grams / n-grams (Welleck et al. 2020, section 6), `repetition_ngram`
    stutter = share of neighbouring words that are the same word
    """

    name = "repetition"

    def __init__(self, ingredients: Ingredients) -> None:
        self._n = ingredients.options.repetition_ngram

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [-2, 0]."""
        return batch.each(self._scores)

    def _scores(self, captions: Sequence[str]) -> Tensor:
        repeated = fluency.repeated_ngram_shares(captions, self._n)
        return -torch.from_numpy(repeated + fluency.stutter_shares(captions)).float()


class LanguageModelFloor:
    """min(0, m(c) - f): nothing for a caption as likely as people's, what it lacks for others.

    m(c) is the mean log-probability of a caption's words and its end by an n-gram model of the
    train references (`metrics.language_model`, order `lm_order`), f is `lm_floor`, in nats.
    """

    name = "lm"

    def __init__(self, ingredients: Ingredients) -> None:
        references = ingredients.train_for(self.name).references
        sentences = (sentence for own in references for sentence in own)
        self._model = NgramModel(sentences, ingredients.options.lm_order)
        self._floor = ingredients.options.lm_floor

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K), at most 0."""
        return batch.each(self._scores)

    def _scores(self, captions: Sequence[str]) -> Tensor:
        means = torch.tensor([self._model.mean_log_prob(caption) for caption in captions])
        return (means - self._floor).clamp(max=0)


def bounded(log_probs: Tensor, floor: float) -> Tensor:
    """1 + max(log p, -M) / M with M = `floor`: 1 where p is 1, 0 where log p is -M or less."""
    return 1 + log_probs.clamp(min=-floor) / floor
