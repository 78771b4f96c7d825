"""What every family of captioners promises, one suite for all: see `Captioner`."""

import re
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch import Tensor

from finecap.config import MleConfig
from finecap.data.tokenizer import BOS, PAD, UNK
from finecap.models.captioner import Captioner, load_captioner
from finecap.models.captions import greedy_captions
from finecap.models.clip import load_encoder
from finecap.models.decoding import decode
from finecap.models.export import CaptioningModel
from finecap.models.families import build_captioner
from finecap.models.features import open_features

WORD, T = 4, 6  # the first id that is a word; tokens


@pytest.fixture(scope="module")
def untrained(tiny: SimpleNamespace, family: SimpleNamespace) -> Captioner:
    torch.manual_seed(0)
    texts = [text for r in tiny.records for text in r.captions]
    return build_captioner(family.config, open_features(family.features), texts, tiny.encoder)


@pytest.fixture
def captioner(untrained: Captioner) -> Captioner:
    untrained.zero_grad()
    return untrained.eval()


@pytest.fixture
def inputs(captioner: Captioner, family: SimpleNamespace) -> Tensor:
    """What it could read of three images; a grid of several cells, unlike the tiny world's."""
    torch.manual_seed(2)
    if captioner.image_size is not None:
        return torch.randn(3, 3, 64, 64)
    return torch.randn(3, 5, open_features(family.features).grid.shape[-1])


@pytest.fixture
def ids(captioner: Captioner) -> Tensor:
    """Four captions of each image, (3, 4, T)."""
    torch.manual_seed(1)
    drawn = torch.randint(WORD, len(captioner.tokenizer), (3, 4, T))
    drawn[..., 0] = BOS
    return drawn


def scores(captioner: Captioner, inputs: Tensor, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return captioner.teacher_forced(captioner.memory(inputs), ids)


def test_cached_steps_equal_the_teacher_forced_pass(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    forced = scores(captioner, inputs, ids)  # (B, K, T, V)
    with torch.no_grad():
        state = captioner.begin(captioner.memory(inputs), 4)
        for t in range(T):
            step = captioner.step(ids[..., t], state)
            torch.testing.assert_close(step, forced[..., t, :], rtol=1e-4, atol=1e-4)


def test_samples_of_one_image_do_not_see_each_other(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    alone = scores(captioner, inputs, ids[:, 2:3])
    together = scores(captioner, inputs, ids)[:, 2:3]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_a_word_is_blind_to_the_words_after_it(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    changed = ids.clone()
    changed[..., 4:] = WORD
    before, after = (scores(captioner, inputs, x) for x in (ids, changed))
    torch.testing.assert_close(before[..., :4, :], after[..., :4, :])
    assert not torch.allclose(before[..., 4:, WORD], after[..., 4:, WORD])


def test_a_word_depends_on_the_words_before_it(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    changed = ids.clone()
    changed[..., 1] = torch.where(ids[..., 1] == WORD, WORD + 1, WORD)
    before, after = (scores(captioner, inputs, x)[..., -1, WORD:] for x in (ids, changed))
    assert (before - after).abs().amax(-1).min() > 1e-4


def test_captions_depend_on_the_image(captioner: Captioner, inputs: Tensor, ids: Tensor) -> None:
    same = ids[:1].expand_as(ids)
    first, second, _ = scores(captioner, inputs, same)[..., WORD:]
    assert (first - second).abs().max() > 1e-4


def test_specials_can_never_be_chosen_in_scoring_or_sampling(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    with torch.no_grad():
        sampled = captioner.step(ids[..., 0], captioner.begin(captioner.memory(inputs), 4))
    for logits in (scores(captioner, inputs, ids), sampled):
        assert logits[..., [PAD, BOS, UNK]].isneginf().all()
        assert logits.isfinite().sum(-1).unique().tolist() == [len(captioner.tokenizer) - 3]


def test_a_batch_equals_its_images_one_by_one(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    single = [scores(captioner, inputs[i : i + 1], ids[i : i + 1]) for i in range(3)]
    together = scores(captioner, inputs, ids)
    torch.testing.assert_close(together, torch.cat(single), rtol=1e-4, atol=1e-4)


def test_a_reordered_decode_goes_on_from_its_parents(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    parents = torch.tensor([[3, 3, 0, 1], [0, 0, 0, 0], [2, 1, 3, 0]])
    begun = ids.gather(1, parents[..., None].expand_as(ids))
    forced = scores(captioner, inputs, begun)
    with torch.no_grad():
        state = captioner.begin(captioner.memory(inputs), 4)
        for t in range(3):
            captioner.step(ids[..., t], state)
        state.reorder(parents)
        step = captioner.step(begun[..., 3], state)
    torch.testing.assert_close(step, forced[..., 3, :], rtol=1e-4, atol=1e-4)


def test_a_decode_goes_on_with_the_images_that_are_kept(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    forced = scores(captioner, inputs, ids)
    state = captioner.begin(captioner.memory(inputs), 4)
    for t in range(3):
        captioner.step(ids[..., t], state)
    state.keep(torch.tensor([0, 2]))
    for t in (3, 4):
        step = captioner.step(ids[[0, 2], :, t], state)
        torch.testing.assert_close(step, forced[[0, 2], :, t], rtol=1e-4, atol=1e-4)


def test_decoding_never_has_gradient(captioner: Captioner, inputs: Tensor, ids: Tensor) -> None:
    memory = captioner.memory(inputs)
    assert not captioner.step(ids[..., 0], captioner.begin(memory, 4)).requires_grad


def test_a_saved_captioner_answers_as_before(
    captioner: Captioner, inputs: Tensor, ids: Tensor, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    again = load_captioner(tmp_path)
    assert type(again) is type(captioner)
    assert not again.training
    assert again.image_size == captioner.image_size
    assert again.max_tokens == captioner.max_tokens
    assert torch.equal(scores(again, inputs, ids), scores(captioner, inputs, ids))
    learning = [n for n, p in captioner.named_parameters() if p.requires_grad]
    assert [n for n, p in again.named_parameters() if p.requires_grad] == learning


def test_gradient_reaches_all_that_should_learn_and_nothing_else(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    captioner = deepcopy(captioner).train()
    for parameter in captioner.parameters():  # branches that start at zero hide what they are of
        parameter.data += 0.01 * torch.randn_like(parameter)
    memory = captioner.memory(inputs)
    loss = captioner.teacher_forced(memory, ids)[..., WORD:].square().mean()
    if captioner.bicaptioning:
        loss = loss + captioner.teacher_forced_backward(memory, ids)[..., WORD:].square().mean()
    loss.backward()
    reached = {n for n, p in captioner.named_parameters() if p.grad is not None and p.grad.any()}
    learning = {n for n, p in captioner.named_parameters() if p.requires_grad}
    pooling = {n for n in learning if n.startswith("image_encoder.visual.attnpool.")}
    assert reached == learning - pooling


def test_an_image_encoder_learns_where_it_is_to(
    captioner: Captioner, family: SimpleNamespace
) -> None:
    tower = [p for n, p in captioner.named_parameters() if n.startswith("image_encoder.")]
    assert bool(tower) == (family.config.image_encoder != "cached")
    assert {p.requires_grad for p in tower} <= {family.config.image_trainable}


def test_scoring_forwards_leaves_a_backward_decoder_without_gradient(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    captioner.teacher_forced(captioner.memory(inputs), ids)[..., WORD:].sum().backward()
    backward = [p for n, p in captioner.named_parameters() if "backward_" in n]
    assert bool(backward) == captioner.bicaptioning
    assert all(p.grad is None for p in backward)


def test_captions_forwards_only_are_not_asked_backwards(
    captioner: Captioner, inputs: Tensor, ids: Tensor
) -> None:
    if captioner.bicaptioning:
        logits = captioner.teacher_forced_backward(captioner.memory(inputs), ids)
        assert logits.shape == (3, 4, T, len(captioner.tokenizer))
    else:
        with pytest.raises(TypeError, match="says captions forwards only"):
            captioner.teacher_forced_backward(captioner.memory(inputs), ids)


def test_greedy_and_samples_come_of_one_decode(captioner: Captioner, inputs: Tensor) -> None:
    uniforms = 1 - torch.rand(3, 2, T)
    drawn = decode(captioner, captioner.memory(inputs), T, uniforms=uniforms)
    greedy = decode(captioner, captioner.memory(inputs), T)
    assert drawn.shape[:2] == (3, 3)
    assert torch.equal(drawn[:, 0, : greedy.shape[-1]], greedy[:, 0, : drawn.shape[-1]])


def test_image_files_are_captioned_as_what_is_kept_of_them(
    tiny: SimpleNamespace, family: SimpleNamespace, captioner: Captioner
) -> None:
    images = [r.image for r in tiny.records if r.split == "val"][:4]
    kept = greedy_captions(captioner, open_features(family.features), images, 8)
    model = CaptioningModel(captioner, load_encoder(tiny.encoder))
    assert model.caption_images([tiny.folder / image for image in images], 8) == kept


def test_the_readmes_virtex_is_a_profile_as_it_stands(tiny: SimpleNamespace) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    profile = next(yaml.safe_load(b) for b in blocks if "bicaptioning" in b)
    config = MleConfig.model_validate(profile["mle"])
    built = build_captioner(config, open_features(tiny.features), ["a boat"])
    assert built.bicaptioning
    assert built.image_size == 224
    memory = built.eval().memory(torch.zeros(1, 3, 224, 224))
    assert memory.encoded.shape == (1, 49, 1024)


def test_a_copy_of_the_encoders_tower_needs_the_encoder(tiny: SimpleNamespace) -> None:
    config = tiny.mle_config.model_copy(update={"image_encoder": "clip"})
    with pytest.raises(ValueError, match=r"expected that encoder's folder, came none"):
        build_captioner(config, open_features(tiny.features), ["a boat"])


def test_a_copy_of_the_encoders_tower_reads_what_it_reads(tiny: SimpleNamespace) -> None:
    config = tiny.mle_config.model_copy(update={"image_encoder": "clip", "image_size": 64})
    with pytest.raises(ValueError, match=r"`image_size` 64: the encoder's tower reads .* 32 px"):
        build_captioner(config, open_features(tiny.features), ["a boat"], tiny.encoder)
