"""Captions for people: one of each image by beams, or several different ones by sampling.

What search serves and the command prints. Not for tables, which are greedy, nor for training: see
`sampling` for why its draws are at temperature alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finecap.models.beam import beam_search
from finecap.models.captioner import Captioner
from finecap.models.decoding import caption_inputs, decode, eval_mode, to_captions
from finecap.models.features import Features
from finecap.models.linear import packed_once

_GRIDS, _IMAGES = 256, 32  # captioned at once; keys and values of an image read by BLIP are 42 MB


@dataclass(frozen=True)
class Beams:
    """How one caption of an image is found; greedy unless told otherwise.

    Attributes:
        beams: N of `beam_search`; 1: greedy, whatever the length penalty.
        length_penalty: alpha of `beam_search`.
        no_repeat_ngram: n-grams of so many tokens are said once at most; 0: as often as they come.
    """

    beams: int = 1
    length_penalty: float = 0.0
    no_repeat_ngram: int = 0


@dataclass(frozen=True)
class Draws:
    """How several captions of an image are drawn.

    Attributes:
        samples: K, drawn of each image; those that differ are kept.
        temperature: below 1 the likely becomes likelier.
        top_p: see `nucleus`.
        no_repeat_ngram: as for `Beams`.
        seed: of the draws. All images share their numbers, so that an image's captions do not
            depend on which others it was captioned with.
    """

    samples: int
    temperature: float = 1.0
    top_p: float = 0.9
    no_repeat_ngram: int = 0
    seed: int = 0


def greedy_captions(
    captioner: Captioner, features: Features, images: Sequence[str], max_tokens: int
) -> list[str]:
    """Greedy captions of images, from what is cached of them."""
    at = features.positions(images)
    captions: list[str] = []
    count = _GRIDS if captioner.image_size is None else _IMAGES
    with packed_once():
        for start in range(0, len(at), count):
            inputs = features.inputs_of(captioner, at[start : start + count])
            captions += caption_inputs(captioner, inputs, max_tokens)
    return captions


def best_captions(
    captioner: Captioner, inputs: Tensor, max_tokens: int, how: Beams | None = None
) -> list[str]:
    """One caption each of what `captioner` reads: grids (B, P, C) or pixel values (B, 3, H, W)."""
    how = how or Beams()
    if how == Beams():
        return caption_inputs(captioner, inputs, max_tokens)
    with torch.no_grad(), eval_mode(captioner):
        memory = captioner.memory(inputs.to(captioner.device))
    if how.beams == 1:
        tokens = decode(captioner, memory, max_tokens, no_repeat_ngram=how.no_repeat_ngram)
    else:
        found, _ = beam_search(
            captioner,
            memory,
            max_tokens,
            beams=how.beams,
            length_penalty=how.length_penalty,
            no_repeat_ngram=how.no_repeat_ngram,
        )
        tokens = found[:, None]  # (B, T) -> (B, 1, T)
    return [rows[0] for rows in to_captions(captioner, tokens)]


def drawn_captions(
    captioner: Captioner, inputs: Tensor, max_tokens: int, how: Draws
) -> list[list[str]]:
    """Different captions of each image, in the order they were drawn: 1 to `how.samples`."""
    with torch.no_grad(), eval_mode(captioner):
        memory = captioner.memory(inputs.to(captioner.device))
    numbers = 1 - np.random.default_rng(how.seed).random((how.samples, max_tokens), np.float32)
    uniforms = torch.from_numpy(numbers).to(captioner.device)  # (K, T) in (0, 1]
    tokens = decode(
        captioner,
        memory,
        max_tokens,
        greedy=False,
        uniforms=uniforms.expand(len(memory), -1, -1),
        temperature=how.temperature,
        top_p=how.top_p,
        no_repeat_ngram=how.no_repeat_ngram,
    )
    return [list(dict.fromkeys(rows)) for rows in to_captions(captioner, tokens)]
