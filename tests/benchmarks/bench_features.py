"""Features from files: asked is at least 0.8 of the images a second that the model alone does.

`share_*` is that by the clock, as stages run: the encoder on one thread, decoding on the other
cores; on a machine that is not at rest it says little. `cores_*` is the harder question, of all
cores at work: processor time of the encoder on pixels in memory by that of `extract`, which reads,
decodes, resizes, encodes and writes. Start-up, such as reading the weights, is measured with one
batch and taken off. Weights are random, as speed does not ask for others. Worlds:
drawn scenes by the encoder of profile `scenes`; photos (JPEG, 500 x 375, as Flickr's) by the
MobileNetV2 of `flickr8k` and by a tower of ViT-B/32's size. `peak_gb_*` is memory of drawn scenes,
ten times as many, records included: the features' part of it is asked to stay flat.
"""

import io
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.measure import cpu_seconds_of, peak_gb

SIZES = (2_000, 20_000)
_VIT = {"image_tower": "vit", "patch_size": 32, "image_width": 768, "image_layers": 12}


def run() -> dict[str, object]:
    """Shares, images a second, and peak memory by number of images."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, count, batch, picture, tower in (
            ("scenes", 1_024, 64, scene, {}),
            ("mobilenet", 72, 8, photo, {"image_tower": "timm", "image_size": 224}),
            ("vit_b_32", 24, 8, photo, _VIT | {"image_size": 224, "embed_dim": 512}),
        ):
            encoder = folder / name
            _encoder(encoder, tower)
            written(folder / f"{name}-images", count, picture)
            works = _works(folder / f"{name}-images", encoder, count, batch)
            for said, seconds in (
                ("share", _clock_seconds(works)),
                ("cores", cpu_seconds_of(works, repeats=3)),
            ):
                alone = seconds["model"] - seconds["model, a batch"]
                whole = seconds["whole"] - seconds["whole, a batch"]
                figures[f"{said}_{name}"] = alone / whole
                figures[f"images_a_second_{said}_{name}"] = (count - batch) / whole
        written(folder / "one", 1, scene)
        for count in SIZES:
            figures[f"peak_gb_{count}"] = peak_gb(many, folder / "one", folder / "scenes", count)
    return figures


def _works(images: Path, encoder: Path, count: int, batch: int) -> dict[str, Callable[[], None]]:
    """The model alone on pixels in memory, and all of it on files."""
    import torch

    from finecap.data.pixels import Look, pixel_batches
    from finecap.models.clip import load_encoder

    model = load_encoder(encoder)
    looks = [Look(model.config.image_size, model.resizing)]
    batches = [own for [own] in pixel_batches(images, records(count), looks, batch)]

    @torch.no_grad()
    def alone(many: int) -> None:
        for pixels in batches[:many]:
            model.image_forward(model.pixel_values(pixels))

    return {
        "model": lambda: alone(len(batches)),
        "model, a batch": lambda: alone(1),
        "whole": lambda: extracted(images, encoder, count, batch),
        "whole, a batch": lambda: extracted(images, encoder, batch, batch),
    }


def _clock_seconds(works: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """Of each the best of three turns, by the clock."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(3):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def extracted(images: Path, encoder: Path, count: int, batch: int) -> None:
    """Features of so many images."""
    from finecap.config import FeaturesConfig
    from finecap.log import silent
    from finecap.models.features import extract

    config = FeaturesConfig(part="", batch_size=batch)
    with tempfile.TemporaryDirectory() as place:
        extract(images, records(count), encoder, config, Path(place), silent)


def many(images: Path, encoder: Path, count: int) -> None:
    """Features of one image, so many times: memory does not ask for others."""
    from finecap.config import FeaturesConfig
    from finecap.log import silent
    from finecap.models.features import extract

    same = records(1) * count
    with tempfile.TemporaryDirectory(dir=images.parent) as place:
        extract(images, same, encoder, FeaturesConfig(part=""), Path(place), silent)


def records(count: int) -> list:
    """Of `written` images."""
    from finecap.data.records import Record

    return [Record(f"images/{number}", "train", ("a boat",)) for number in range(count)]


def written(folder: Path, count: int, picture: Callable[[int], bytes]) -> None:
    """So many pictures as files; ten different ones."""
    (folder / "images").mkdir(parents=True)
    contents = [picture(number) for number in range(min(10, count))]
    for number in range(count):
        (folder / "images" / str(number)).write_bytes(contents[number % len(contents)])


def scene(number: int) -> bytes:
    """A picture of the default world."""
    from finecap.config import DataConfig
    from finecap.data.scenes import draw_world
    from finecap.log import silent

    with tempfile.TemporaryDirectory() as place:
        few = DataConfig(clip_images=0, judge_images=0, captioner_images=0, seed=number)
        few = few.model_copy(update={"val_images": 1, "test_images": 1})
        draw_world(Path(place) / "data", few, silent, processes=1)
        return sorted((Path(place) / "data" / "images").iterdir())[0].read_bytes()


def photo(number: int) -> bytes:
    """Blots at all scales, with the grain of a camera; about 90 kB, as a photo of Flickr8k has."""
    generator = np.random.default_rng(number)
    total = generator.normal(0, 10, (375, 500, 3))
    for cells in (4, 8, 16, 32, 64, 128):
        patches = Image.fromarray(generator.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(patches.resize((500, 375), Image.Resampling.BICUBIC), float) / 6
    content = io.BytesIO()
    Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=88)
    return content.getvalue()


def _encoder(folder: Path, tower: dict[str, object]) -> None:
    """An encoder with random weights; without `tower` that of profile `scenes`."""
    from finecap.config import load_profile
    from finecap.data.tokenizer import WordTokenizer
    from finecap.models.clip import ClipEncoder

    chosen = load_profile("scenes").base_clip.model_dump() | tower
    config = type(load_profile("scenes").base_clip).model_validate(chosen)
    ClipEncoder(config, WordTokenizer.build(["a boat on the sea"], 1)).save(folder)
