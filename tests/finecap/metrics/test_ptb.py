"""Golden tokens of the Java tokeniser, that tokeniser itself where Java is, properties."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.ptb import PUNCTUATION, tokenise, tokenise_lines, tokenise_to_text
from tests.finecap.metrics.ptb_adversary import sentences
from tests.finecap.metrics.ptb_golden import GOLDEN, SEED, differing, java_tokens

CHOSEN = GOLDEN.with_name("ptb.json")
SENTENCES = json.loads(CHOSEN.read_text(encoding="utf-8"))["sentences"]
ADVERSARY = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES)
def test_adversarial_sentence_has_the_reference_tokens(sentence: str, expected: str) -> None:
    assert tokenise_to_text(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("A dog's ball isn't red.", "a dog 's ball is n't red"),
        ("We cannot see the T-shirt (blue)", "we can not see the t-shirt -lrb- blue -rrb-"),
        ("a “quoted” word … and it\u2019s fine!", "a quoted word and it 's fine"),
        ("Mr. Smith lives on Main St.", "mr. smith lives on main st."),
        ("two dogs , one ball .", "two dogs one ball"),
        ("", ""),
        (" \t\n ", ""),
        ("...", ""),
    ],
)
def test_caption_is_tokenised_as_expected(sentence: str, tokens: str) -> None:
    assert tokenise(sentence) == tokens.split()


def test_sentences_made_to_break_it_have_the_reference_tokens() -> None:
    differ = [row for row in ADVERSARY if tokenise_to_text(row[0]) != row[1]]
    assert not differ[:5]
    assert [sentence for sentence, _ in ADVERSARY] == sentences(len(ADVERSARY), SEED)


@pytest.mark.usefixtures("java")
def test_golden_files_are_what_the_reference_prints() -> None:
    rows = [*SENTENCES, *ADVERSARY]
    alone = [line for sentence, _ in rows for line in (sentence, "x")]
    assert java_tokens(alone)[::2] == [own for _, own in rows]


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_no_other_sentence_breaks_it_either() -> None:
    assert not differing(sentences(20_000, seed=2))[:5]


def test_a_line_reads_a_word_ahead_as_the_reference_does() -> None:
    lines = ["he wears a.", "The dog", "says no.", "5 dogs", "a letter j.", "", "The end", "a."]
    expected = ["he wears a", "the dog", "says no.", "5 dogs", "a letter j", "", "the end", "a."]
    assert [" ".join(tokens) for tokens in tokenise_lines(lines)] == expected
    assert tokenise("he wears a.") == ["he", "wears", "a."]


@pytest.mark.parametrize("line_break", ["\r", "\n", "\x0b", "\x0c", "\u2028", "\u2029"])
def test_line_breaks_are_spaces(line_break: str) -> None:
    assert tokenise(f"a dog.{line_break}A cat") == ["a", "dog", "a", "cat"]


def test_halves_of_a_character_beyond_the_basic_plane_are_dropped() -> None:
    assert tokenise("a \ud83d dog \U0001f436") == ["a", "dog"]


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_text_breaks_the_tokeniser_or_leaves_punctuation(text: str) -> None:
    tokens = tokenise(text)
    assert not PUNCTUATION.intersection(tokens)
    assert all(tokens)
    assert not any(character in " \t\n" for token in tokens for character in token)


WORDS = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), max_size=12)
ONE_WORD_CONTRACTIONS = {"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"}


@settings(deadline=None)
@given(WORDS)
def test_lower_case_words_come_back_unchanged(words: list[str]) -> None:
    plain = [word for word in words if word not in ONE_WORD_CONTRACTIONS]
    assert tokenise(" ".join(plain)) == plain


@settings(deadline=None)
@given(WORDS)
def test_case_does_not_matter_for_words(words: list[str]) -> None:
    assert tokenise(" ".join(words).upper()) == tokenise(" ".join(words))
