"""Every kind of model: our passes give what transformers' own passes give, image by image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from finecap.models.beam import beam_search
from finecap.models.decoding import decode
from finecap.models.huggingface import HuggingFaceCaptioner
from finecap.models.huggingface_decoders import VisionEncoderDecoderModel

PAIRS = ("bert", "roberta", "gpt2", "bart", "mbart", "trocr")
KINDS = (*PAIRS, "git", "blip")
B, K, T = 3, 4, 7


@pytest.fixture(params=KINDS)
def captioner(
    request: pytest.FixtureRequest, pretrained: Callable[..., Path]
) -> HuggingFaceCaptioner:
    return HuggingFaceCaptioner.from_pretrained(str(pretrained(request.param)), 12)


@pytest.fixture
def images(captioner: HuggingFaceCaptioner) -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (B, 16, 16, 3), dtype=np.uint8)
    return captioner.pixel_values(pixels)


@pytest.fixture
def captions(captioner: HuggingFaceCaptioner) -> Tensor:
    """(B, K, T), the first token a start."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 17, (B, K, T), generator=generator)
    ids[..., 0] = captioner.tokenizer.bos
    return ids


def own_logits(captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor) -> Tensor:
    """Logits (B, K, T, V) of transformers' forward pass, one image and one caption at a time."""
    is_pair = isinstance(captioner.model, VisionEncoderDecoderModel)
    words = "decoder_input_ids" if is_pair else "input_ids"
    rows = [
        captioner.model(pixel_values=image[None], **{words: caption[None]}).logits[0, -T:]
        for image, own in zip(images, captions, strict=True)
        for caption in own
    ]
    return torch.stack(rows).view(B, K, T, -1)


def own_captions(
    captioner: HuggingFaceCaptioner, images: Tensor, steps: int, **how: Any
) -> list[list[int]]:
    """What transformers' `generate` says of each image, from the start id on."""
    never = sorted(captioner.tokenizer.unspoken)  # pyright: ignore[reportAttributeAccessIssue]
    options = {"max_new_tokens": steps, "do_sample": False, "suppress_tokens": never or None}
    options["renormalize_logits"] = True  # else beams are scored with the suppressed ones' share
    return captioner.model.generate(pixel_values=images, **options, **how).tolist()


def test_a_pass_over_all_captions_equals_transformers_pass_over_each(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    ours = captioner.teacher_forced(captioner.memory(images), captions)
    may = captioner.get_buffer("forbidden").isfinite()
    expected = own_logits(captioner, images, captions)[..., may]
    assert expected.std() > 0.5
    torch.testing.assert_close(ours[..., may], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("captioner", PAIRS, indirect=True)
def test_the_loss_is_the_one_that_transformers_gives(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    captioner.get_buffer("forbidden").zero_()
    words = captions[:, 0, 1:]  # (B, T - 1)
    logits = captioner.teacher_forced(captioner.memory(images), captions[:, :1, :-1])[:, 0]
    ours = F.cross_entropy(logits.flatten(0, 1), words.flatten())
    captioner.model.config.decoder_start_token_id = captioner.tokenizer.bos
    theirs = captioner.model(pixel_values=images, labels=words.contiguous()).loss
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_greedy_captions_are_those_that_generate_gives(
    captioner: HuggingFaceCaptioner, images: Tensor
) -> None:
    steps = 12
    ours = decode(captioner, captioner.memory(images), steps)[:, 0].tolist()
    assert len({tuple(row) for row in ours}) > 1
    theirs = own_captions(captioner, images, steps, num_beams=1)
    assert [[captioner.tokenizer.bos, *row] for row in ours] == theirs


def test_beams_find_the_captions_that_transformers_beams_find(
    captioner: HuggingFaceCaptioner, images: Tensor
) -> None:
    """Beams change places, and images leave the batch when theirs are done."""
    steps, tokenizer = 9, captioner.tokenizer
    memory = captioner.memory(images)
    ours, _ = beam_search(captioner, memory, steps, beams=3, length_penalty=1.0)
    theirs = own_captions(
        captioner, images, steps, num_beams=3, length_penalty=1.0, early_stopping="never"
    )
    assert len({tuple(row) for row in ours.tolist()}) > 1
    for own, found in zip(ours.tolist(), theirs, strict=True):
        assert tokenizer.decode(own) == tokenizer.decode(found[1:])


def test_an_image_is_projected_once_whatever_the_number_of_its_captions(
    captioner: HuggingFaceCaptioner, images: Tensor
) -> None:
    memory = captioner.memory(images)
    patches = 5
    for layer in memory.cache.layers:
        assert layer.keys.shape[0] == B
        assert layer.keys.shape[2] == patches
    kept = [layer.keys.clone() for layer in memory.cache.layers]
    with torch.no_grad():
        captioner.step(torch.full((B, K), 5), captioner.begin(memory, K))
    for layer, before in zip(memory.cache.layers, kept, strict=True):
        assert torch.equal(layer.keys, before)


def test_gradient_reaches_all_that_a_caption_depends_on(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    logits = captioner.teacher_forced(captioner.memory(images), captions)
    logits[logits.isfinite()].square().sum().backward()
    idle = {name for name, p in captioner.named_parameters() if p.grad is None}
    unread = ("encoder.pooler", "cls.predictions.bias")  # ViT's; BERT's, when its head is not tied
    assert not [name for name in idle if not any(part in name for part in unread)]
    assert all(p.grad.isfinite().all() for p in captioner.parameters() if p.grad is not None)
