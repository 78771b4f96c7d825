"""The lists agree with each other and with what reads them."""

from finecap.data.scenes.vocabulary import BACKGROUNDS, COLOURS, OBJECTS, SIZE_SYNONYMS, SIZES


def test_a_background_phrase_names_its_background_alone() -> None:
    for name, phrases in BACKGROUNDS.items():
        for phrase in phrases:
            words = phrase.split()
            assert name in words or (name == "snow" and "snowy" in words)
            assert not set(words) & (set(BACKGROUNDS) - {name})


def test_a_background_phrase_names_no_object() -> None:
    words = {word for phrases in BACKGROUNDS.values() for p in phrases for word in p.split()}
    assert not words & (set(OBJECTS) | set(OBJECTS.values()))


def test_synonyms_mean_a_size() -> None:
    assert set(SIZE_SYNONYMS.values()) <= set(SIZES)


def test_colours_are_far_apart() -> None:
    pairs = [(a, b) for a in COLOURS.values() for b in COLOURS.values() if a < b]
    assert min(sum((x - y) ** 2 for x, y in zip(*p, strict=True)) for p in pairs) > 70**2
