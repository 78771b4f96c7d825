"""Golden tokens of the Java tokeniser, that tokeniser itself where Java is, properties."""

import json
import shutil
import string
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finecap.metrics.ptb import PUNCTUATION, tokenise, tokenise_to_text

GOLDEN = Path(__file__).parents[2] / "golden" / "ptb.json"
SENTENCES = json.loads(GOLDEN.read_text(encoding="utf-8"))["sentences"]


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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="the reference tokeniser needs Java")
def test_golden_file_is_what_the_reference_prints() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference leaves a pipe open
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

        captions = {i: [{"caption": text}] for i, (text, _) in enumerate(SENTENCES)}
        printed = PTBTokenizer().tokenize(captions)
    assert [printed[i][0] for i in range(len(SENTENCES))] == [own for _, own in SENTENCES]


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
