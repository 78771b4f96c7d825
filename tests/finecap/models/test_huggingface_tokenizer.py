"""A pretrained tokenizer as captioners use one: ends, padding, specials, bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.models.huggingface_tokenizer import PretrainedTokenizer


def read(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def words(pretrained: Callable[..., Path]) -> PretrainedTokenizer:
    """WordPiece; the model has 3 ids more than its tokenizer, and starts with one of them."""
    own = read(pretrained("blip"))
    return PretrainedTokenizer(own, bos=len(own), eos=3, vocabulary_size=len(own) + 3)


@pytest.fixture(scope="module")
def letters(pretrained: Callable[..., Path]) -> PretrainedTokenizer:
    """GPT-2's kind: start, end, padding and unknown are one id."""
    return PretrainedTokenizer(read(pretrained("gpt2")), bos=0, eos=0, vocabulary_size=257)


def test_ids_run_from_start_through_end_and_padding_follows(words: PretrainedTokenizer) -> None:
    assert words.encode_batch(["A red boat"], 7).tolist() == [[17, 5, 6, 8, 3, 0, 0]]


def test_a_long_text_loses_its_end_and_never_its_eos(words: PretrainedTokenizer) -> None:
    assert words.encode_batch(["a red boat on the sea"], 4).tolist() == [[17, 5, 6, 3]]


def test_a_length_without_room_for_the_ends_is_refused(words: PretrainedTokenizer) -> None:
    with pytest.raises(ValueError, match="length is 1, expected 2 or more"):
        words.encode_batch(["a"], 1)


def test_no_text_no_rows(words: PretrainedTokenizer) -> None:
    assert words.encode_batch([], 5).shape == (0, 5)


def test_a_word_it_cannot_spell_is_unknown(words: PretrainedTokenizer) -> None:
    assert words.unk == 1
    assert words.encode_batch(["a zebra"], 4).tolist() == [[17, 5, 1, 3]]


def test_specials_that_a_text_spells_out_are_left_out(
    words: PretrainedTokenizer, letters: PretrainedTokenizer
) -> None:
    assert words.encode_batch(["a [SEP] [PAD] cat"], 5).tolist() == [[17, 5, 9, 3, 0]]
    plain, spelt = letters.encode_batch(["ab", "a<|endoftext|>b"], 5)
    assert plain.tolist() == spelt.tolist()


def test_text_is_decoded_up_to_the_first_end_without_specials(words: PretrainedTokenizer) -> None:
    assert words.decode([5, 8, 13, 4, 19, 3, 6, 6]) == "a boats"
    assert words.decode([3]) == words.decode([]) == ""


def test_ids_that_no_caption_has_are_specials_and_those_beyond_its_words(
    words: PretrainedTokenizer, letters: PretrainedTokenizer
) -> None:
    assert words.unspoken == {0, 1, 2, 4, 17, 18, 19}
    assert letters.unspoken == set()


def test_one_id_may_start_end_and_pad(letters: PretrainedTokenizer) -> None:
    assert (letters.pad, letters.bos, letters.eos, letters.unk) == (0, 0, 0, None)
    ids = letters.encode_batch(["a b", "a"], 6)
    assert ids[1, 2:].tolist() == [0, 0, 0, 0]
    assert [letters.decode(row[1:]) for row in ids.tolist()] == ["a b", "a"]


@settings(max_examples=20, deadline=None)
@given(text=st.text(alphabet="az09'.-é猫🙂 \n", max_size=9))
def test_what_is_spelt_in_bytes_is_read_again(letters: PretrainedTokenizer, text: str) -> None:
    (row,) = letters.encode_batch([text], 60)
    assert letters.decode(row[1:].tolist()) == " ".join(text.split())


def test_a_tokenizer_of_another_model_is_refused(pretrained: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match=r"has 17 ids, .* knows 12: they are not of one another"):
        PretrainedTokenizer(read(pretrained("git")), bos=2, eos=3, vocabulary_size=12)
