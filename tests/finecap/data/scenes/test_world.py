"""What scenes hold: shares, sizes, places, relations, held-out combinations."""

from collections import Counter

import pytest

from finecap.data.scenes.generator import Generator
from finecap.data.scenes.vocabulary import BACKGROUNDS, COLOURS, OBJECTS
from finecap.data.scenes.world import (
    HELD_OUT_COLOURS,
    HELD_OUT_PLACES,
    LARGE_SIDES,
    SIDE,
    SMALL_SIDES,
    Placed,
    Scene,
    is_held_out,
    overlap_percent,
    relation,
    sample_scene,
)


def _holds_out(scene: Scene) -> bool:
    return is_held_out(scene.background, [(o.name, o.colour) for o in scene.objects])


def _placed(left: int, top: int) -> Placed:
    return Placed("cat", "red", "small", 20, left, top, 20, 20, mirrored=False)


def test_same_key_gives_the_same_scene() -> None:
    key = (3, "val", 5, "scene")
    assert sample_scene(Generator(*key), train=False) == sample_scene(Generator(*key), train=False)


def test_train_never_shows_a_held_out_combination(train_scenes: list[Scene]) -> None:
    assert not any(_holds_out(scene) or scene.heldout for scene in train_scenes)


def test_a_fifth_of_test_shows_one_and_says_so(test_scenes: list[Scene]) -> None:
    assert all(_holds_out(scene) == scene.heldout for scene in test_scenes)
    assert 160 < sum(scene.heldout for scene in test_scenes) < 240


def test_every_held_out_pair_occurs_in_test(test_scenes: list[Scene]) -> None:
    colours = {(o.colour, o.name) for s in test_scenes for o in s.objects}
    places = {(s.background, o.name) for s in test_scenes for o in s.objects}
    assert set(HELD_OUT_COLOURS) <= colours
    assert set(HELD_OUT_PLACES) <= places


def test_held_out_pairs_name_known_words() -> None:
    assert all(c in COLOURS and o in OBJECTS for c, o in HELD_OUT_COLOURS)
    assert all(b in BACKGROUNDS and o in OBJECTS for b, o in HELD_OUT_PLACES)


def test_half_of_the_scenes_have_two_objects(train_scenes: list[Scene]) -> None:
    counts = Counter(len(scene.objects) for scene in train_scenes)
    assert counts[1] == pytest.approx(250, abs=50)
    assert counts[2] == pytest.approx(500, abs=60)
    assert counts[3] == pytest.approx(250, abs=50)


def test_no_background_colour_or_object_dominates(train_scenes: list[Scene]) -> None:
    backgrounds = Counter(scene.background for scene in train_scenes)
    colours = Counter(o.colour for scene in train_scenes for o in scene.objects)
    assert max(backgrounds.values()) < 1.5 * 1_000 / len(BACKGROUNDS)
    assert max(colours.values()) < 1.3 * sum(colours.values()) / len(COLOURS)


def test_names_in_a_scene_differ(test_scenes: list[Scene]) -> None:
    assert all(len({o.name for o in s.objects}) == len(s.objects) for s in test_scenes)


def test_first_object_is_drawn_largest(test_scenes: list[Scene]) -> None:
    assert all(s.objects[0].side > o.side for s in test_scenes for o in s.objects[1:])


def test_sizes_are_clearly_apart(test_scenes: list[Scene]) -> None:
    assert min(LARGE_SIDES) >= 1.6 * max(SMALL_SIDES)
    for scene in test_scenes:
        for placed in scene.objects:
            assert placed.size == ("small" if placed.side <= max(SMALL_SIDES) else "large")
            assert placed.side - 1 <= max(placed.width, placed.height) <= placed.side


def test_both_sizes_are_common_among_salient_objects(train_scenes: list[Scene]) -> None:
    large = sum(scene.objects[0].size == "large" for scene in train_scenes)
    assert 540 < large < 660


def test_objects_lie_inside_and_overlap_little(test_scenes: list[Scene]) -> None:
    for scene in test_scenes:
        for k, one in enumerate(scene.objects):
            assert min(one.left, one.top) >= 0
            assert max(one.left + one.width, one.top + one.height) <= SIDE
            assert all(overlap_percent(one, other) <= 15 for other in scene.objects[:k])


def test_relations_agree_with_the_drawn_centres(test_scenes: list[Scene]) -> None:
    for scene in test_scenes:
        count = len(scene.objects)
        assert len(scene.relations) == count * (count - 1) // 2
        for i, name, j in scene.relations:
            (x0, y0), (x1, y1) = scene.objects[i].twice_centre, scene.objects[j].twice_centre
            dominating = abs(x0 - x1) if name in {"left of", "right of"} else abs(y0 - y1)
            assert dominating >= 36
            assert {"left of": x0 < x1, "right of": x0 > x1, "above": y0 < y1, "below": y0 > y1}[
                name
            ]


def test_all_relations_are_about_as_common(train_scenes: list[Scene]) -> None:
    names = Counter(name for scene in train_scenes for _, name, _ in scene.relations)
    assert min(names.values()) > 0.15 * sum(names.values())


@pytest.mark.parametrize(
    ("left", "top", "expected"),
    [(60, 0, "left of"), (0, 60, "above"), (60, 50, None), (10, 0, None), (60, 40, "left of")],
)
def test_relation_is_named_only_where_it_is_clear(
    left: int, top: int, expected: str | None
) -> None:
    assert relation(_placed(0, 0), _placed(left, top)) == expected


def test_overlap_counts_the_smaller_box() -> None:
    assert overlap_percent(_placed(0, 0), _placed(10, 0)) == 50
    assert overlap_percent(_placed(0, 0), _placed(30, 0)) == 0


def test_facts_are_ready_for_json(test_scenes: list[Scene]) -> None:
    scene = next(s for s in test_scenes if len(s.objects) == 2)
    facts = scene.facts()
    assert facts["objects"][0] == {
        "name": scene.objects[0].name,
        "colour": scene.objects[0].colour,
        "size": scene.objects[0].size,
    }
    assert facts["relations"] == scene.relations
