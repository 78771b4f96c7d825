"""Words that stand in the same places fall into one class."""

from finecap.negatives.word_classes import word_classes

FUNCTION = frozenset({"a", "an", "on", "the"})
SENTENCES = [
    ("an" if c[0] in "aeiou" else "a", c, n, "on", "the", p)
    for c in ("red", "blue", "orange")
    for n in ("boat", "dog", "kite")
    for p in ("beach", "sea", "ice")
]


def test_stand_ins_share_a_class_and_others_do_not():
    classes = word_classes(SENTENCES, FUNCTION)
    assert classes["red"] == classes["blue"]
    assert classes["boat"] == classes["kite"]
    assert classes["beach"] == classes["sea"]
    assert len({classes[word] for word in ("red", "boat", "beach", "on", "the")}) == 5


def test_a_class_takes_one_article():
    classes = word_classes(SENTENCES, FUNCTION)
    assert classes["orange"].endswith("an")
    assert classes["orange"] != classes["red"]


def test_no_content_words_is_no_crash():
    assert word_classes([("a", "the")], FUNCTION) == {"a": "a", "the": "the"}
