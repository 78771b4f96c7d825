"""What is said of scenes: everything parses, and detail is as frequent as it is meant to be."""

import pytest

from finecap.data.scenes.generator import Generator
from finecap.data.scenes.grammar import is_grammatical
from finecap.data.scenes.language import (
    MAX_ALT_WORDS,
    REFERENCES,
    alt_text,
    noun_phrase,
    references,
)
from finecap.data.scenes.vocabulary import BACKGROUNDS, RELATIONS
from finecap.data.scenes.world import Placed, Scene

Told = list[tuple[Scene, str]]


@pytest.fixture(scope="module")
def said(train_scenes: list[Scene]) -> Told:
    return [
        (scene, caption)
        for k, scene in enumerate(train_scenes)
        for caption in references(scene, Generator("r", k))
    ]


@pytest.fixture(scope="module")
def detailed(train_scenes: list[Scene]) -> Told:
    return [(scene, alt_text(scene, Generator("a", k))) for k, scene in enumerate(train_scenes)]


def _share(told: Told, claim: object) -> float:
    assert callable(claim)
    return sum(bool(claim(scene, caption)) for scene, caption in told) / len(told)


def _names_background(scene: Scene, caption: str) -> bool:
    return any(phrase in caption for phrase in BACKGROUNDS[scene.background])


def test_everything_said_parses(said: Told, detailed: Told) -> None:
    assert [caption for _, caption in said + detailed if not is_grammatical(caption)] == []


def test_an_image_has_all_its_references(train_scenes: list[Scene]) -> None:
    assert len(references(train_scenes[0], Generator(0))) == REFERENCES >= 5


def test_references_always_name_the_salient_object(said: Told) -> None:
    assert _share(said, lambda scene, c: scene.objects[0].name in c.split()) == 1


def test_references_mostly_leave_detail_out(said: Told) -> None:
    def second(scene: Scene, caption: str) -> bool:
        return any(o.name in caption.split() for o in scene.objects[1:])

    def phrase(scene: Scene, caption: str, words: str) -> bool:
        return f"{words} {scene.objects[0].name}" in caption

    def related(_: Scene, caption: str) -> bool:
        return any(f" {p} a" in caption for phrases in RELATIONS.values() for p in phrases)

    assert 0.26 < _share(said, second) < 0.34
    assert 0.14 < _share(said, lambda s, c: phrase(s, c, s.objects[0].colour)) < 0.22
    assert 0.05 < _share(said, lambda s, c: f" {s.objects[0].size} " in c) < 0.11
    assert 0.03 < _share(said, _names_background) < 0.08
    assert 0.03 < _share(said, related) < 0.09


def test_alt_text_names_background_and_every_coloured_object(detailed: Told) -> None:
    assert _share(detailed, _names_background) == 1
    assert _share(detailed, lambda s, c: all(f"{o.colour} {o.name}" in c for o in s.objects)) == 1


def test_alt_text_often_names_sizes_and_relations(detailed: Told) -> None:
    sizes = [f"{o.size} {o.colour} {o.name}" in c for s, c in detailed for o in s.objects]
    assert 0.55 < sum(sizes) / len(sizes) < 0.65
    many = [(s, c) for s, c in detailed if len(s.objects) > 1]

    def related(scene: Scene, caption: str) -> bool:
        first, second = (caption.index(o.name) for o in scene.objects[:2])
        between = caption[first:second]
        return any(f" {p} a" in between for p in RELATIONS[scene.relations[0][1]])

    assert 0.55 < _share(many, related) < 0.65


def test_alt_text_is_not_too_long(detailed: Told) -> None:
    assert max(len(caption.split()) for _, caption in detailed) <= MAX_ALT_WORDS == 26


def test_references_use_every_word_of_alt_text(said: Told, detailed: Told) -> None:
    known = {word for _, caption in said for word in caption.split()}
    assert {word for _, caption in detailed for word in caption.split()} <= known


@pytest.mark.parametrize(
    ("name", "colour", "size", "expected"),
    [
        ("umbrella", False, False, "an umbrella"),
        ("umbrella", True, False, "a red umbrella"),
        ("boat", False, False, "a boat"),
        ("boat", True, True, "a small red boat"),
    ],
)
def test_article_agrees_with_the_next_word(
    name: str, colour: bool, size: bool, expected: str
) -> None:
    placed = Placed(name, "red", "small", 20, 0, 0, 20, 20, mirrored=False)
    assert noun_phrase(placed, size=size, colour=colour) == expected


def test_orange_takes_an() -> None:
    placed = Placed("cat", "orange", "small", 20, 0, 0, 20, 20, mirrored=False)
    assert noun_phrase(placed, size=False, colour=True) == "an orange cat"
