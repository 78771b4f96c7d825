"""The finished image: objects at their places, few enough colours, little lost to the palette."""

import numpy as np

from finecap.data.scenes.backgrounds import background
from finecap.data.scenes.draw import draw_scene, indexed
from finecap.data.scenes.generator import Generator
from finecap.data.scenes.world import Scene


def test_objects_change_pixels_inside_their_boxes_alone(test_scenes: list[Scene]) -> None:
    for scene in test_scenes[:20]:
        empty = Scene(scene.background, (), heldout=False)
        indices, palette = draw_scene(scene, Generator("texture"))
        bare, bare_palette = draw_scene(empty, Generator("texture"))
        changed = np.abs(palette[indices].astype(int) - bare_palette[bare]).sum(axis=2) > 60
        outside = changed.copy()
        for o in scene.objects:
            part = (slice(o.top, o.top + o.height), slice(o.left, o.left + o.width))
            assert changed[part].mean() > 0.15
            outside[part] = False
        assert outside.mean() < 0.01


def test_few_colours_are_exact_to_six_bits() -> None:
    pixels = np.arange(96, dtype=np.int16)[None, :, None] * np.ones((96, 1, 3), dtype=np.int16)
    indices, palette = indexed(pixels)
    assert len(palette) == 24
    assert (palette[indices] >> 2 == pixels >> 2).all()


def test_many_colours_lose_little() -> None:
    worst = 0.0
    for name in ("meadow", "beach", "city", "forest"):
        pixels = background(name, Generator(name))
        indices, palette = indexed(pixels)
        assert len(palette) <= 256
        worst = max(worst, float(np.abs(palette[indices].astype(int) - pixels).mean()))
    assert worst < 3


def test_random_pixels_take_the_nearest_kept_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.int16)
    indices, palette = indexed(pixels)
    assert palette.shape == (256, 3)
    six = (pixels[0, 0] >> 2).astype(int)
    distance = (((palette >> 2).astype(int) - six) ** 2).sum(axis=1)
    assert distance[indices[0, 0]] == distance.min()
