"""Cached features: equal to what the encoder sees, found by name, whole or refused.

`FINECAP_CRASHES` is how often an extraction is killed: 1 here, 20 for a soak.
"""

import os
import random
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finecap.config import FeaturesConfig
from finecap.data.image_files import write_index
from finecap.log import silent
from finecap.models.clip import load_encoder
from finecap.models.features import Features, extract, open_features
from finecap.models.folder import ModelFolderError
from finecap.models.row_files import PROGRESS
from tests.finecap.models.extraction import SMALL

CRASHES = int(os.environ.get("FINECAP_CRASHES", "1"))


@pytest.fixture
def features(tiny: SimpleNamespace) -> Features:
    return open_features(tiny.features)


def extract_again(tiny: SimpleNamespace, destination: Path, **changes: object) -> Features:
    config = FeaturesConfig.model_validate(changes)
    extract(tiny.folder, tiny.records, tiny.encoder, config, destination, silent)
    return open_features(destination)


def test_cached_features_are_what_the_encoder_sees(
    tiny: SimpleNamespace, features: Features
) -> None:
    encoder = load_encoder(tiny.encoder)
    images = [r.image for r in tiny.records if r.split == "test"][:5]
    paths = [tiny.folder / image for image in images]
    at = features.positions(images)
    with torch.no_grad():
        grid = encoder.grid_features(torch.stack([encoder.preprocess(path) for path in paths]))
    torch.testing.assert_close(features.grid_of(at), grid, rtol=1e-3, atol=1e-3)  # fp16 on disk
    torch.testing.assert_close(features.vectors_of(at), encoder.encode_images(paths))


def test_vectors_have_unit_length(features: Features) -> None:
    np.testing.assert_allclose(np.linalg.norm(features.vectors, axis=1), 1.0, atol=1e-5)


def test_rows_are_the_captioners_train_images_and_all_of_val_and_test(
    tiny: SimpleNamespace, features: Features
) -> None:
    kept = [r for r in tiny.records if r.split != "train" or r.part == "captioner"]
    assert list(features.rows["image"]) == [r.image for r in kept]
    assert list(features.rows["split"]) == [r.split for r in kept]


def test_an_empty_part_keeps_every_image(tiny: SimpleNamespace, tmp_path: Path) -> None:
    assert len(extract_again(tiny, tmp_path, part="").rows) == len(tiny.records)


def test_batches_change_nothing(tiny: SimpleNamespace, features: Features, tmp_path: Path) -> None:
    again = extract_again(tiny, tmp_path, batch_size=7)
    np.testing.assert_allclose(again.vectors, features.vectors, atol=1e-5)
    np.testing.assert_allclose(again.grid, features.grid, rtol=2e-3, atol=1e-3)


def test_only_features_are_left_behind(tiny: SimpleNamespace) -> None:
    names = {path.name for path in tiny.features.iterdir()}
    assert names == {"grid.npy", "vectors.npy", "rows.parquet"}


def test_an_image_without_features_is_refused_by_name(features: Features) -> None:
    known = str(features.rows["image"].iloc[0])
    with pytest.raises(KeyError, match=r"no features of images/nowhere\.png"):
        features.positions([known, "images/nowhere.png"])


def test_an_image_that_cannot_be_opened_is_refused_by_name(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"elsewhere/images/\d+\.png does not exist"):
        extract(
            tiny.folder / "elsewhere",
            tiny.records,
            tiny.encoder,
            FeaturesConfig(),
            tmp_path,
            silent,
        )


def test_incomplete_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"incomplete features .* extract again"):
        open_features(tmp_path)


def test_features_of_another_length_are_refused(tiny: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("grid.npy", "rows.parquet"):
        (tmp_path / name).write_bytes((tiny.features / name).read_bytes())
    np.save(tmp_path / "vectors.npy", np.zeros((2, 16), dtype=np.float32))
    with pytest.raises(ModelFolderError, match="2 vectors; expected one of each per image"):
        open_features(tmp_path)


def test_nothing_to_extract_is_refused(tiny: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images to extract features of"):
        extract(tiny.folder, [], tiny.encoder, FeaturesConfig(), tmp_path, silent)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def attempt(tiny: SimpleNamespace, folder: Path, config: dict[str, object]) -> list[str]:
    """Extract into `folder/out` by way of `folder/growing`; what the log said."""
    said: list[str] = []
    (folder / "out").mkdir()
    settings = FeaturesConfig.model_validate(config)
    extract(
        tiny.folder,
        tiny.records,
        tiny.encoder,
        settings,
        folder / "out",
        lambda message, *_, **__: said.append(message),
        folder / "growing",
    )
    return said


def test_killed_at_work_it_goes_on_to_the_same_bytes(tiny: SimpleNamespace, tmp_path: Path) -> None:
    straight = tmp_path / "straight"
    straight.mkdir()
    extract_again(tiny, straight, **SMALL)
    chance = random.Random(0)  # noqa: S311 - when to kill
    for time in range(CRASHES):
        folder = tmp_path / str(time)
        (folder / "out").mkdir(parents=True)
        shard = chance.randint(1, 6) if time else 2
        where = [tiny.folder, tiny.encoder, folder / "out", folder / "growing"]
        command = [sys.executable, "-m", "tests.finecap.models.extraction", *map(str, where)]
        died = subprocess.run(
            [*command, str(shard), str(chance.random() / 1000)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not list((folder / "out").iterdir())
        (folder / "out").rmdir()
        said = attempt(tiny, folder, SMALL)
        done = int(said[0].split()[4])
        assert said[0] == f"features: going on after {done} of 96 images"
        assert done >= 8 * shard
        assert contents(folder / "out") == contents(straight)
        assert not list((folder / "growing").iterdir())


def test_what_others_left_is_begun_anew(tiny: SimpleNamespace, tmp_path: Path) -> None:
    attempt(tiny, tmp_path, SMALL)
    (tmp_path / "growing" / PROGRESS).write_text('{"key": "of others", "rows": 8}')
    (tmp_path / "out").rename(tmp_path / "before")
    said = attempt(tiny, tmp_path, SMALL)
    assert said[0] == "features 8/96"
    assert contents(tmp_path / "out") == contents(tmp_path / "before")


def test_images_in_a_shard_give_the_same_features(tiny: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with tarfile.open(tmp_path / "images" / "0.tar", "w") as tar:
        for record in tiny.records:
            tar.add(tiny.folder / record.image, arcname=record.image.removeprefix("images/"))
    write_index(tmp_path / "images" / "0.tar")
    moved = [replace(r, image=r.image.replace("images/", "images/0.tar/")) for r in tiny.records]
    (tmp_path / "out").mkdir()
    extract(tmp_path, moved, tiny.encoder, FeaturesConfig(), tmp_path / "out", silent)
    for name in ("grid.npy", "vectors.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (tiny.features / name).read_bytes()


def test_features_are_read_by_memory_map(features: Features) -> None:
    assert isinstance(features.grid, np.memmap)
    assert isinstance(features.vectors, np.memmap)
