"""Words in, ids out, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finecap.data.tokenizer import BOS, EOS, PAD, UNK, VocabularyError, WordTokenizer, words_of

CAPTIONS = ["A red boat .", "a red tree", "a house"]


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer.build(CAPTIONS)


def test_words_follow_the_specials_most_frequent_first(tokenizer):
    assert tokenizer.words == (
        *("<pad>", "<bos>", "<eos>", "<unk>"),
        *("a", "red", "boat", "house", "tree"),
    )
    assert len(tokenizer) == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A tri-colored dog's ball .", ["a", "tri", "colored", "dog's", "ball"]),
        ("'quoted' words'", ["quoted", "words"]),
        ("2 dogs_run, fast!", ["2", "dogs", "run", "fast"]),
        ("the dog\u2019s cafe\u0301", ["the", "dog's", "caf\u00e9"]),
        (" .,- ", []),
    ],
)
def test_punctuation_is_dropped_and_hyphens_split(text, words):
    assert words_of(text) == words


def test_rare_words_become_unk():
    tokenizer = WordTokenizer.build(CAPTIONS, min_count=2)
    assert tokenizer.encode("a red boat", 10) == [BOS, 4, 5, UNK, EOS]


def test_truncation_keeps_eos(tokenizer):
    assert tokenizer.encode("a red boat", 4) == [BOS, 4, 5, EOS]
    assert tokenizer.encode("a", 2) == [BOS, EOS]


def test_a_length_without_room_is_refused(tokenizer):
    with pytest.raises(ValueError, match="length is 1, expected 2 or more"):
        tokenizer.encode("a", 1)


def test_a_batch_is_padded_after_eos(tokenizer):
    batch = tokenizer.encode_batch(["a", "a red boat"], 6)
    assert batch.dtype == np.int64
    assert batch.tolist() == [[BOS, 4, EOS, PAD, PAD, PAD], [BOS, 4, 5, 6, EOS, PAD]]


def test_decoding_stops_at_the_first_eos_and_drops_specials(tokenizer):
    assert tokenizer.decode([BOS, 4, UNK, PAD, 5, EOS, 6]) == "a red"
    assert tokenizer.decode(np.array([BOS, EOS, 6])) == ""


def test_an_unknown_id_is_refused(tokenizer):
    with pytest.raises(ValueError, match="id 9 is not in this vocabulary of 9 words"):
        tokenizer.decode([9])


def test_the_order_of_captions_does_not_matter():
    assert WordTokenizer.build(CAPTIONS).words == WordTokenizer.build(CAPTIONS[::-1]).words


def test_no_word_left_is_an_error():
    with pytest.raises(ValueError, match="none of 5 words occurs 9 times or more"):
        WordTokenizer.build(CAPTIONS, min_count=9)
    with pytest.raises(ValueError, match="'a' came more often"):
        WordTokenizer(["a", "b", "a"])


@given(st.lists(st.text(), min_size=1))
def test_known_words_survive_encoding_and_decoding(captions):
    if not any(words_of(caption) for caption in captions):
        return
    tokenizer = WordTokenizer.build(captions)
    for caption in captions:
        words = words_of(caption)
        ids = tokenizer.encode(caption, len(words) + 2)
        assert UNK not in ids
        assert tokenizer.decode(ids) == " ".join(words)
        assert words_of(tokenizer.decode(ids)) == words


@given(st.text(), st.integers(2, 12))
def test_an_encoding_fits_and_is_closed(text, length):
    ids = WordTokenizer.build(CAPTIONS).encode(text, length)
    assert len(ids) <= length
    assert (ids[0], ids[-1]) == (BOS, EOS)
    assert ids.count(EOS) == 1


def test_a_saved_vocabulary_loads_equal(tmp_path):
    tokenizer = WordTokenizer.build([*CAPTIONS, "caf\u00e9"])
    tokenizer.save(tmp_path / "vocab.json")
    assert WordTokenizer.load(tmp_path / "vocab.json").words == tokenizer.words
    assert [entry.name for entry in tmp_path.iterdir()] == ["vocab.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no vocabulary"),
        ("[]", "is no vocabulary"),
        ('{"kind": "bpe", "words": []}', "is 'bpe', expected 'finecap words 1'"),
    ],
)
def test_a_broken_vocabulary_is_named(tmp_path, content, message):
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(VocabularyError, match=rf"vocab\.json {message}"):
        WordTokenizer.load(path)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vocab\.json does not exist"):
        WordTokenizer.load(tmp_path / "vocab.json")
