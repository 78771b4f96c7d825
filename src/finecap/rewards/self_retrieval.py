"""Whether a caption finds its own image among others, and its image finds it: a contrastive reward.

    text to image   p(i | c) = e^{s cos(i, c)} / (e^{s cos(i, c)} + sum_j e^{s cos(j, c)})
    image to text   p(c | i) = e^{s cos(i, c)} / (e^{s cos(i, c)} + sum_j mean_r e^{s cos(i, r)})
    self_retrieval  mean over both of 1 + max(log p, -M) / M, in [0, 1]

over distractors j of image i, r the references of j, s the encoder's logit scale (or
`retrieval_scale`), M `retrieval_floor`. After the self-retrieval reward of Liu et al. 2018 ("Show,
Tell and Discriminate"), with CLIP's softmax (Radford et al. 2021) in place of their margin.

Why not the batch as distractors: the distractors here (`distractors`: nearest images of the same
split, and some drawn once) are fixed for each image, so that the reward depends on image and
caption alone. It is the same however a batch is split over processes; near images ask for what is
distinctive. The other K - 1 captions of an image are nobody's negatives, nor are its references.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from finecap.models.clip import ClipEncoder
from finecap.rewards.batch import EncodedBatch
from finecap.rewards.distractors import distractors
from finecap.rewards.ingredients import Images, Ingredients
from finecap.rewards.terms import bounded

_CHUNK = 64  # images whose distractors' references are scored at a time
_NONE = -1  # in a row of distractors that is shorter than the longest


class SelfRetrieval:
    """How surely a caption and its image find each other among the image's distractors."""

    name = "self_retrieval"

    def __init__(self, ingredients: Ingredients) -> None:
        options, encoder = ingredients.options, ingredients.encoder_for(self.name)
        self._vectors = torch.tensor(ingredients.features_for(self.name).vectors)  # (F, D)
        self._scale = options.retrieval_scale or encoder.logit_scale.item()
        self._floor = options.retrieval_floor
        count = options.retrieval_neighbours + options.retrieval_others
        self._others = torch.full((len(self._vectors), count), _NONE)  # (F, P) rows of the features
        self._log_texts = torch.full((len(self._vectors),), torch.nan)  # (F,) of image to text
        for images in (ingredients.train_for(self.name), ingredients.val):
            if images is not None:
                self._add(images, encoder, ingredients)

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K) in [0, 1]."""
        rows = torch.from_numpy(batch.positions)
        others = self._others[rows]  # (B, P)
        if (others == _NONE).all(1).any():
            row = int(rows[(others == _NONE).all(1)][0])
            raise ValueError(
                f"row {row} of the features is neither of the train nor of the val images that "
                "`self_retrieval` was made with; give it among `Ingredients(train=..., val=...)`"
            )
        texts = batch.text_features  # (B, K, D)
        own = self._scale * torch.einsum("bd,bkd->bk", batch.batch.vectors, texts)
        distracting = self._vectors[others].to(texts)  # (B, P, D)
        to_images = self._scale * torch.einsum("bpd,bkd->bkp", distracting, texts)
        to_images = to_images.masked_fill((others == _NONE)[:, None].to(texts.device), -torch.inf)
        log_image = log_share(own, to_images.logsumexp(-1))
        log_text = log_share(own, self._log_texts[rows].to(texts)[:, None].expand_as(own))
        return (bounded(log_image, self._floor) + bounded(log_text, self._floor)) / 2

    @torch.no_grad()
    def _add(self, images: Images, encoder: ClipEncoder, ingredients: Ingredients) -> None:
        """Distractors of a split's images among themselves, and what their references weigh."""
        options, vectors = ingredients.options, self._vectors[images.positions]  # (N, D)
        chosen = distractors(
            vectors, options.retrieval_neighbours, options.retrieval_others, options.seed
        )  # (N, P)
        rows = torch.from_numpy(images.positions)
        self._others[rows, : chosen.shape[1]] = rows[chosen]
        texts, index = _distinct(images.references, encoder)
        for start in range(0, len(vectors), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._log_texts[rows[part]] = log_references(
                vectors[part], texts, index[chosen[part]], self._scale
            )


def log_share(own: Tensor, log_others: Tensor) -> Tensor:
    """The log of [e^own / (e^own + others)], of logits and the log of what stands against each."""
    return own - torch.logaddexp(own, log_others)


def log_references(vectors: Tensor, texts: Tensor, index: Tensor, scale: float) -> Tensor:
    """The log of sum_j mean_r e^{s cos(i, r)} of C images.

    Args:
        vectors: (C, D), the images'.
        texts: (U, D), distinct references.
        index: (C, P, R) rows of `texts`, -1 where a distractor has fewer references.
        scale: s.

    Returns:
        (C,). A distractor weighs the same however many references it has.
    """
    cosines = (vectors @ texts.T).gather(1, index.clamp(min=0).flatten(1))  # (C, U) -> (C, P * R)
    logits = (scale * cosines).view(index.shape).masked_fill(index == _NONE, -torch.inf)
    counts = (index != _NONE).sum(-1)  # (C, P)
    return (logits.logsumexp(-1) - counts.log()).logsumexp(-1)


def _distinct(references: Sequence[Sequence[str]], encoder: ClipEncoder) -> tuple[Tensor, Tensor]:
    """Features (U, D) of the distinct references, and each image's rows of them, (N, R)."""
    sentences = sorted({sentence for own in references for sentence in own})
    rows = {sentence: row for row, sentence in enumerate(sentences)}
    index = np.full((len(references), max(map(len, references))), _NONE)
    for at, own in enumerate(references):
        index[at, : len(own)] = [rows[sentence] for sentence in own]
    return encoder.encode_texts(sentences).cpu(), torch.from_numpy(index)
