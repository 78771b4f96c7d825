"""Lexicon files: their format, the user's own, and that the built-in ones are sound."""

from pathlib import Path

import pytest

from finecap.negatives.lexicons import ATTRIBUTES, LexiconError, function_words, load_lexicon


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_built_in_partner_exists(attribute: str):
    values = load_lexicon(attribute).values()
    groups = {value.group for value in values}
    assert len(groups) > 1
    for value in values:
        assert (value.partners or frozenset()) <= groups


def test_synonyms_are_never_swapped_for_each_other():
    sizes = load_lexicon("size")
    big, large, tiny = (sizes[(word,)] for word in ("big", "large", "tiny"))
    assert not big.may_become(large)
    assert big.may_become(tiny)


def test_own_lexicon_adds_to_and_replaces_the_built_in_one(tmp_path: Path):
    (tmp_path / "colour.txt").write_text("# mine\nBurnt Orange  # two words\nteal [blue]\n")
    colours = load_lexicon("colour", tmp_path)
    assert colours[("burnt", "orange")].group == "burnt orange"
    assert colours[("teal",)].group == "blue"
    assert ("red",) in colours


def test_own_attribute_needs_only_a_file(tmp_path: Path):
    (tmp_path / "age.txt").write_text("old\nyoung\n")
    assert load_lexicon("age", tmp_path)[("old",)].may_become(
        load_lexicon("age", tmp_path)[("young",)]
    )


def test_unknown_attribute_is_refused():
    with pytest.raises(LexiconError, match="unknown attribute 'mood', expected one of colour"):
        load_lexicon("mood")


def test_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(LexiconError, match="does not exist"):
        load_lexicon("colour", tmp_path / "none")


def test_malformed_line_is_named(tmp_path: Path):
    (tmp_path / "size.txt").write_text("small\nlarge [big\n")
    with pytest.raises(LexiconError, match=r"size\.txt line 2: came 'large \[big'"):
        load_lexicon("size", tmp_path)


def test_unknown_word_list_is_refused():
    with pytest.raises(LexiconError, match="no built-in word list 'verbs'"):
        function_words("verbs")
