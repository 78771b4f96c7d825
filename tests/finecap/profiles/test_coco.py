"""Profile `coco` from COCO's files to an evaluation: all that is missing is the download.

Weights are random, of the right names and shapes, and marked so to the end. The short form has tiny
architectures in the place of the profile's; with `FINECAP_REAL_SIZES=1`, as in `make soak`, it has
those themselves, the paper's captioner, and CLIP ResNet-50's grid: minutes, and gigabytes of disk.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from finecap.config import ImportConfig, Profile, load_profile
from finecap.data.expectations import validate
from finecap.data.importers import import_dataset
from finecap.data.records import SPLITS, read_records
from finecap.evaluation.evaluate import evaluate
from finecap.log import silent
from finecap.models.captioner import load_captioner
from finecap.models.clip import load_encoder
from finecap.models.features import extract
from finecap.models.folder import ModelFolderError
from finecap.models.image_encoder import write_random_timm
from finecap.models.pretrained import write_random
from finecap.negatives import attributes, grammar
from finecap.training.clip import train_clip
from finecap.training.clip_reward import finetune
from finecap.training.judge_grammar import train_judge_grammar
from finecap.training.mle import train_mle
from finecap.training.scst import train_scst

REAL = bool(os.environ.get("FINECAP_REAL_SIZES"))
SAID = (
    "a man in a red shirt rides a brown horse on the beach",
    "two small dogs and a black cat sit on a wooden bench",
    "a woman is holding a large blue umbrella in the street",
    "three white birds fly over a green field near a lake",
    "a yellow bus drives past an old brick building",
)
WHERE = dict(
    zip(
        (9, 25, 30, 34, 42, 73, 74, 133),
        ("tree", "wall", "river", "house", "road", "tower", "fence", "boat"),
        strict=True,
    )
)
SHORT: dict[str, Any] = {
    "judge_grammar": {
        "val_share": 0.4,
        "max_captions": 40,
        "per_caption": 2,
        "grammar_steps": 1,
        "batch_size": 2,
    },
    "clip_reward": {"steps": 1, "batch_size": 2, "val_share": 0.4},
    "features": {"batch_size": 2},
    "mle": {"epochs": 1, "batch_size": 2, "min_word_count": 1},
    "scst_common": {"steps": 1, "batch_size": 2, "val_every": 1, "val_images": 2},
    "evaluation": {"resamples": 2, "java_metrics": False},
}
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO 2014 as it is handed out: photos of two sizes, five captions each, instances beside."""
    rng = np.random.default_rng(0)
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    for split, ids in (("train", list(WHERE)[:4]), ("val", list(WHERE)[4:])):
        images, annotations = [], []
        for number in ids:
            name = f"COCO_{split}2014_{number:012}.jpg"
            size = (64, 48) if number % 2 else (48, 64)
            path = tmp_path / "coco" / f"{split}2014" / name
            path.parent.mkdir(exist_ok=True)
            blots = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
            blots.resize(size, Image.Resampling.BICUBIC).save(path)
            images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
            annotations += [
                {
                    "id": 10 * number + at,
                    "image_id": number,
                    "caption": f"{text} by a {WHERE[number]}.",
                }
                for at, text in enumerate(SAID)
            ]
        content = {"info": {"year": 2014}, "images": images, "annotations": annotations}
        for kind in ("captions", "instances"):
            file = tmp_path / "coco" / "annotations" / f"{kind}_{split}2014.json"
            file.write_text(json.dumps(content if kind == "captions" else {"annotations": []}))
    return tmp_path / "coco"


def profile_of(folder: Path) -> Profile:
    """`coco` with a step a stage and weights that `write_random` gave."""
    settings = {stage: dict(values) for stage, values in SHORT.items()}
    if not REAL:
        settings["mle"] |= SMALL
    for stage, tiny in (("base_clip", "tiny-vit"), ("judge_clip", "tiny-rn")):
        architecture = getattr(load_profile("coco"), stage).architecture if REAL else tiny
        weights = folder / stage / "random.safetensors"
        write_random(architecture, weights)
        settings[stage] = {"architecture": architecture, "pretrained": str(weights)}
    grid, size = ("resnet50_clip", 224) if REAL else ("test_resnet", 48)
    write_random_timm(grid, folder / "grid.safetensors")
    settings["features"] |= {"pixel_size": size}
    settings["mle"] |= {"image_encoder": "timm", "timm_model": grid, "image_size": size}
    settings["mle"] |= {"timm_checkpoint": str(folder / "grid.safetensors")}
    settings = {stage: {**values, "threads": 1} for stage, values in settings.items()}
    file = folder / "tried.yaml"
    file.write_text(yaml.safe_dump({"extends": "coco", "name": "tried", **settings}))
    return load_profile(str(file))


@pytest.mark.usefixtures("open_clip_models")
def test_every_stage_runs_from_cocos_files_to_an_evaluation(coco: Path, tmp_path: Path) -> None:
    profile = profile_of(tmp_path)
    into = tmp_path / "data"
    brought = import_dataset("coco", coco, into, silent, ImportConfig(splits="fill"))
    assert (brought.images, brought.by_split["train"], set(brought.by_split)) == (8, 4, {*SPLITS})
    verdict = validate(into, profile.validation, tmp_path / "verdict", silent)
    records = read_records(verdict.records)

    def new(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    base, judge, features, mle = map(new, ("base", "judge", "features", "mle"))
    said = train_clip(into, records, profile.base_clip, base, silent)
    said |= train_clip(into, records, profile.judge_clip, judge, silent)
    assert said["random_weights"] == 1.0
    head = new("head")
    train_judge_grammar(judge, records, profile.judge_grammar, head, silent)
    tables = (
        grammar.build_table(records, profile.grammar_negatives),
        attributes.build_table(records, profile.attribute_negatives),
    )
    encoders = {"grammar": new("grammar"), "grammar_attribute": new("grammar_attribute")}
    for name, folder in encoders.items():
        pairs = tables[1] if name == "grammar_attribute" else None
        finetune(base, into, records, tables[0], pairs, profile.clip_reward, folder, silent)
        assert load_encoder(folder).is_random
    extract(into, records, base, profile.features, features, silent)
    said = train_mle(features, records, profile.mle, mle, silent, encoder=base)
    assert (said["random_weights"], load_captioner(mle).has_random_weights) == (1.0, True)
    assert set(profile.scst) == {"cider", "clip_s", "cider_clip_s"} | {
        f"clip_s_{name}" for name in encoders
    }
    rewards = list(profile.scst)[-1:] if REAL else list(profile.scst)
    for reward in rewards:
        encoder = encoders.get(reward.removeprefix("clip_s_"), base)
        settings = profile.scst[reward]
        made = train_scst(mle, features, records, encoder, settings, new(reward), silent)
        assert made["random_weights"] == 1.0
    scored = evaluate(
        tmp_path / rewards[-1],
        features,
        into,
        records,
        base,
        judge,
        profile.evaluation,
        new("evaluation"),
        silent,
        grammar_head=head,
    )
    assert {"cider", "clip_s", "judge_t2i_r1"} <= set(scored.metrics["test"])


def test_without_weights_the_profile_names_both_ways_out(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    brought = import_dataset("coco", coco, tmp_path / "data", silent)
    records = read_records(brought.folder / "captions.jsonl")
    with pytest.raises(ModelFolderError, match=r"Run where the hub .*or fetch .*CLIP_CHECKPOINT"):
        train_clip(brought.folder, records, load_profile("coco").base_clip, tmp_path, silent)
