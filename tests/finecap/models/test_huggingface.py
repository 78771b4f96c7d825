"""A transformers model as captioner: the seam's contract, pixels, files, serving."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from finecap.config import FeaturesConfig
from finecap.log import silent
from finecap.models.captioner import load_captioner
from finecap.models.captions import greedy_captions
from finecap.models.decoding import decode
from finecap.models.export import export_pair, load_pair
from finecap.models.features import extract, open_features
from finecap.models.folder import ModelFolderError, read_config
from finecap.models.huggingface import HuggingFaceCaptioner

KINDS = ("bert", "gpt2", "bart", "mbart", "trocr", "git", "blip")
B, K, T = 2, 3, 6


@pytest.fixture(params=KINDS)
def captioner(
    request: pytest.FixtureRequest, pretrained: Callable[..., Path]
) -> HuggingFaceCaptioner:
    return HuggingFaceCaptioner.from_pretrained(str(pretrained(request.param)), 12)


@pytest.fixture
def git(pretrained: Callable[..., Path]) -> HuggingFaceCaptioner:
    return HuggingFaceCaptioner.from_pretrained(str(pretrained("git")), 12)


@pytest.fixture
def images(captioner: HuggingFaceCaptioner) -> Tensor:
    return captioner.pixel_values(noise(B))


@pytest.fixture
def captions(captioner: HuggingFaceCaptioner) -> Tensor:
    return some_captions(captioner)


def noise(count: int) -> np.ndarray:
    """Images (count, 16, 16, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def some_captions(captioner: HuggingFaceCaptioner) -> Tensor:
    """(B, K, T), the first token a start."""
    ids = torch.randint(5, 17, (B, K, T), generator=torch.Generator().manual_seed(1))
    ids[..., 0] = captioner.tokenizer.bos
    return ids


def test_cached_steps_equal_the_teacher_forced_pass(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    memory = captioner.memory(images)
    forced = captioner.teacher_forced(memory, captions)  # (B, K, T, V)
    state = captioner.begin(memory, K)
    for t in range(T):
        torch.testing.assert_close(
            captioner.step(captions[..., t], state), forced[..., t, :], atol=1e-4, rtol=1e-4
        )


def test_samples_of_one_image_do_not_see_each_other(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    memory = captioner.memory(images)
    alone = captioner.teacher_forced(memory, captions[:, 1:2])
    together = captioner.teacher_forced(memory, captions)[:, 1:2]
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_word_is_blind_to_the_words_after_it(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    memory, changed = captioner.memory(images), captions.clone()
    changed[..., 4:] = 7
    before, after = (captioner.teacher_forced(memory, x)[..., :4, :] for x in (captions, changed))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_an_image_is_blind_to_the_images_beside_it(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    together = captioner.teacher_forced(captioner.memory(images), captions)[1:]
    alone = captioner.teacher_forced(captioner.memory(images[1:]), captions[1:])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_rows_go_on_from_the_rows_they_are_told_to(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    memory, parents = captioner.memory(images), torch.tensor([[2, 0, 0], [1, 1, 2]])
    state = captioner.begin(memory, K)
    state.reorder(parents)  # all rows are alike
    for t in range(3):
        captioner.step(captions[..., t], state)
    state.reorder(parents)
    past = captions[:, :, :3].gather(1, parents[..., None].expand(B, K, 3))
    history = torch.cat([past, captions[:, :, 3:]], -1)
    expected = captioner.teacher_forced(memory, history)
    for t in range(3, T):
        found = captioner.step(history[..., t], state)
        torch.testing.assert_close(found, expected[..., t, :], atol=1e-4, rtol=1e-4)


def test_images_that_are_kept_go_on_as_they_would_have(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    memory, kept = captioner.memory(images), torch.tensor([1])
    expected = captioner.teacher_forced(memory, captions)
    with torch.no_grad():
        state = captioner.begin(memory, K)
        for t in range(3):
            captioner.step(captions[..., t], state)
        state.keep(kept)
        for t in range(3, T):
            found = captioner.step(captions[kept, :, t], state)
            torch.testing.assert_close(found, expected[kept, :, t], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(captioner.teacher_forced(memory, captions), expected)


def test_specials_can_never_be_chosen_and_the_end_always_can(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor
) -> None:
    memory, tokenizer = captioner.memory(images), captioner.tokenizer
    scored = captioner.teacher_forced(memory, captions)[0, 0, 0]
    drawn = captioner.step(captions[..., 0], captioner.begin(memory, K))[0, 0]
    never = {tokenizer.bos, tokenizer.pad, getattr(tokenizer, "unk", None)} - {tokenizer.eos, None}
    for logits in (scored, drawn):
        assert len(logits) == len(tokenizer)
        assert logits[sorted(never)].isneginf().all()
        assert logits[tokenizer.eos].isfinite()
        assert logits.isfinite().sum() >= 12


def test_a_saved_captioner_answers_as_before(
    captioner: HuggingFaceCaptioner, images: Tensor, captions: Tensor, tmp_path: Path
) -> None:
    captioner.save(tmp_path)
    again = load_captioner(tmp_path)
    assert isinstance(again, HuggingFaceCaptioner)
    assert not again.training
    assert again.image_size == captioner.image_size == 16
    assert again.max_tokens == captioner.max_tokens == 12
    assert torch.equal(
        again.teacher_forced(again.memory(images), captions),
        captioner.teacher_forced(captioner.memory(images), captions),
    )
    kept = again.tokenizer.encode_batch(["a red boats"], 8)
    assert (kept == captioner.tokenizer.encode_batch(["a red boats"], 8)).all()


def test_a_head_tied_to_the_embeddings_stays_tied(
    pretrained: Callable[..., Path], tmp_path: Path
) -> None:
    HuggingFaceCaptioner.from_pretrained(str(pretrained("blip")), 12).save(tmp_path)
    speaker = HuggingFaceCaptioner.load(tmp_path).decoder.decoder
    assert speaker.get_output_embeddings().weight is speaker.get_input_embeddings().weight


def test_a_saved_captioner_is_a_model_of_transformers_too(
    git: HuggingFaceCaptioner, tmp_path: Path
) -> None:
    import transformers as hf

    git.save(tmp_path)
    assert read_config(tmp_path, {"model_type"})["family"] == "huggingface"
    theirs = hf.GitForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(theirs.output.weight, git.model.get_output_embeddings().weight)


def test_a_plain_folder_of_transformers_is_no_saved_captioner(
    pretrained: Callable[..., Path],
) -> None:
    with pytest.raises(ModelFolderError, match=r"config\.json: lacks family"):
        load_captioner(pretrained("git"))


def test_pixels_become_what_the_models_own_processor_makes(captioner: HuggingFaceCaptioner) -> None:
    pixels = noise(3)
    own = captioner.files.image_processor(list(pixels), return_tensors="pt").pixel_values
    torch.testing.assert_close(captioner.pixel_values(pixels), own, atol=1e-5, rtol=1e-5)


def test_images_of_another_size_are_refused(git: HuggingFaceCaptioner) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 3, 16, 16\), came \(2, 3, 8, 8\)"):
        git.memory(torch.zeros(2, 3, 8, 8))


def test_more_tokens_than_there_are_positions_are_refused(git: HuggingFaceCaptioner) -> None:
    memory = git.memory(git.pixel_values(noise(1)))
    with pytest.raises(ValueError, match=r"of 41 tokens .* positions for 40; lower `max_tokens`"):
        git.teacher_forced(memory, torch.full((1, 1, 41), 5))
    state = git.begin(memory, 1)
    state.length = 40
    with pytest.raises(ValueError, match="of 41 tokens"):
        git.step(torch.full((1, 1), 5), state)
    with pytest.raises(ValueError, match="of 41 tokens"):
        HuggingFaceCaptioner(git.files, 41)


@pytest.mark.parametrize("size", [{"height": 16, "width": 24}, {"height": 8, "width": 8}])
def test_an_image_processor_that_makes_other_images_is_refused(
    git: HuggingFaceCaptioner, size: dict[str, int]
) -> None:
    git.files.image_processor.crop_size = size
    with pytest.raises(ModelFolderError, match=r"makes images of .*, expected squares of 16 px"):
        HuggingFaceCaptioner(git.files, 12)


def test_a_model_that_names_no_start_is_refused(git: HuggingFaceCaptioner) -> None:
    git.model.generation_config.bos_token_id = None
    with pytest.raises(ModelFolderError, match="start with the id None and end with 3"):
        HuggingFaceCaptioner(git.files, 12)


@pytest.mark.parametrize("kind", ["git", "trocr"])
def test_a_served_image_gets_the_caption_of_its_cached_pixels(
    tiny: SimpleNamespace, pretrained: Callable[..., Path], kind: str
) -> None:
    own = HuggingFaceCaptioner.from_pretrained(str(pretrained(kind)), 12)
    kept, captioner, folder = tiny.new(), tiny.new(), tiny.new()
    records = [r for r in tiny.records if r.split == "val"][:6]
    extract(tiny.folder, records, tiny.encoder, FeaturesConfig(pixel_size=16), kept, silent)
    own.save(captioner)
    export_pair(captioner, tiny.encoder, folder)
    images = [r.image for r in records]
    served = load_pair(folder).caption_images([tiny.folder / image for image in images], 12)
    assert served == greedy_captions(own, open_features(kept), images, 12)
    assert len(set(served)) > 1


def test_greedy_captions_are_the_same_beside_samples(
    captioner: HuggingFaceCaptioner, images: Tensor
) -> None:
    memory = captioner.memory(images)
    uniforms = 1 - torch.rand(B, K, 8, generator=torch.Generator().manual_seed(0))
    both = decode(captioner, memory, 8, uniforms=uniforms)
    alone = decode(captioner, memory, 8)
    samples = decode(captioner, memory, 8, greedy=False, uniforms=uniforms)
    assert torch.equal(both[:, :1, : alone.shape[-1]], alone)
    assert torch.equal(both[:, 1:, : samples.shape[-1]], samples)


def test_other_captioners_do_not_wait_for_transformers() -> None:
    code = (
        "import sys, finecap.models.captioner, finecap.models.decoding, finecap.models.transformer;"
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
