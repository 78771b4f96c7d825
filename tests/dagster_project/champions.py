"""The assets `champion`, `captions` and `caption_index` over registered captioners of a tiny world.

Everything but training and scoring is real: captioners of random weights are registered as stages
register theirs, and their evaluations are files with the scores a test asks for.
"""

import hashlib
import shutil
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pandas as pd
import torch

from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.assets.evaluation import champion
from dagster_project.assets.search import caption_index, captions
from dagster_project.champion import captioner_asset
from dagster_project.compared import CAPTIONER
from dagster_project.home import Home
from dagster_project.registration import Registered, register
from dagster_project.registry import Registry
from dagster_project.resources import DATA_VERSION
from dagster_project.tracking import Tracker
from finecap.config import CaptionsConfig, Profile, ScstConfig, load_profile
from finecap.evaluation.results import Evaluation, Metric, write_evaluation
from finecap.models.captioner import load_captioner
from finecap.models.features import open_features
from finecap.models.transformer import TransformerCaptioner, TransformerShape
from finecap.search.searcher import load_live_manifest
from tests.dagster_project.conftest import resources_of

PROFILE = "test"
DATA = "0.dir"
VARIANTS = ("mle", "clip_s")
SOUND = {"grammatical_rate": 0.97, "repetition_rate": 0.01, "bad_ending_rate": 0.0}
N = 60


def tiny_profile() -> Profile:
    """Two variants, and a gallery of the few test images."""
    smoke = load_profile("smoke")
    changes = {"scst": {"clip_s": ScstConfig()}, "captions": CaptionsConfig(splits=["test"])}
    return smoke.model_copy(update={"name": PROFILE, **changes})


def random_captioner(tiny: SimpleNamespace, folder: Path, seed: int = 0) -> None:
    """A captioner that says something else about every image, without any training."""
    torch.manual_seed(seed)
    channels = open_features(tiny.features).grid.shape[-1]
    shape = TransformerShape(channels, 32, 2, 1, 1, 0.0, 32)
    model = TransformerCaptioner(shape, load_captioner(tiny.mle).tokenizer)
    with torch.no_grad():
        model.memory_norm.weight.mul_(30)
    model.save(folder)


def evaluation(rate: float, **guards: float) -> Evaluation:
    """Scores of val alone; the judge finds `rate` of its images."""
    hits = (np.arange(N) < rate * N).astype(np.float64)
    means = {"judge_t2i_r1": float(hits.mean()), **SOUND, **guards}
    metrics: dict[str, Metric] = {
        name: {"value": value, "ci_low": value, "ci_high": value, "n": N}
        for name, value in means.items()
    }
    metrics["grammar_head_rate"] = {"value": None, "reason": "not computed: no head"}
    images = [f"images/{i:03}.png" for i in range(N)]
    rows = pd.DataFrame({"image": images, "split": "val", "judge_t2i_r1": hits})
    said = pd.DataFrame({"image": images, "split": "val", "caption": "a boat"})
    return Evaluation({"val": metrics, "test": {}}, said, rows, {"val": "x", "test": "x"}, True)


class Champions:
    """A home in which captioners are registered, evaluated, and made champion."""

    def __init__(self, home: Home, instance: dg.DagsterInstance, tiny: SimpleNamespace) -> None:
        self.home, self.instance, self.tiny = home, instance, tiny
        profile = tiny_profile()
        self.assets = [champion(profile), captions(profile), caption_index(profile)]
        self.store = ArtifactStore(home.artifacts)
        self.tracker = Tracker(home.mlflow, "finecap-test", "run-1")
        self.numbers = count(1)
        self.made: dict[str, str] = {}  # data version by asset, as materialized last
        home.claim(PROFILE)
        sources = {
            "dataset": tiny.folder,
            "validated_dataset": tiny.folder,
            "image_features": tiny.features,
            "base_clip": tiny.encoder,
            "judge_clip": tiny.encoder,
            "judge_grammar": tiny.encoder,
        }
        for name, source in sources.items():
            self._put(name, source)

    def train(self, variant: str, rate: float, seed: int = 0, **guards: float) -> str:
        """A registered and evaluated version of the variant, as its number."""
        asset, name = captioner_asset(variant), f"{variant}-{next(self.numbers)}"
        with self.store.writing(asset, name) as folder:
            random_captioner(self.tiny, folder, seed)
            made = self.store.publish(folder, Artifact(asset, folder, name, data_md5=DATA))
        encoder = self.store.get("base_clip", DATA)
        registered = Registered(CAPTIONER, variant, encoder)
        version = register(self.tracker, self.store, made, registered, PROFILE, self.home, None)
        scores = f"evaluation/{variant}"
        with self.store.writing(scores, name) as folder:
            write_evaluation(evaluation(rate, **guards), folder)
            self.store.publish(folder, Artifact(scores, folder, name, inputs={asset: name}))
        self.tracker.tag_version(version, "evaluation", f"{scores}@{name}")
        self.made[scores] = name
        return str(version.version)

    def decide(self) -> None:
        """Materialize `champion` alone."""
        self.run(self.assets[:1])

    def run(self, assets: list[dg.AssetsDefinition] | None = None) -> dict[str, str]:
        """Materialize all three, or some; status by asset, made or reused."""
        assets = assets or self.assets
        for asset, version in self.made.items():
            event = dg.AssetMaterialization(asset.split("/"), tags={DATA_VERSION: version})
            self.instance.report_runless_asset_event(event)
        keys = {key for asset in assets for key in asset.keys_by_input_name.values()}
        own = {key for asset in assets for key in asset.keys}
        given = [dg.AssetSpec(key).with_io_manager_key("artifacts") for key in keys - own]
        outcome = dg.materialize(
            [*given, *assets], resources=resources_of(self.home), instance=self.instance
        )
        events = [e for e in outcome.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
        shown = {"/".join(e.asset_key.path): e.materialization.metadata for e in events}
        self.verdict = str(shown["champion"]["decision"].value)
        return {name: str(metadata["status"].value) for name, metadata in shown.items()}

    def forget_from(self, version: str) -> None:
        """Leave the older versions, as if none had ever been champion."""
        client, registry = self.tracker.client, self.registry
        for number, found in registry.versions().items():
            if int(number) >= int(version):
                client.delete_model_version(CAPTIONER, number)
            for tag in (key for key in found.tags if key.startswith("champion_")):
                if int(number) < int(version):
                    client.delete_model_version_tag(CAPTIONER, number, tag)
        model = client.get_registered_model(CAPTIONER)
        for alias in model.aliases:
            client.delete_registered_model_alias(CAPTIONER, alias)
        for tag in model.tags:
            client.delete_registered_model_tag(CAPTIONER, tag)

    @property
    def registry(self) -> Registry:
        """The captioners'."""
        tracker = Tracker(self.home.mlflow, "finecap-test", "")
        if not tracker.client.search_registered_models(f"name = '{CAPTIONER}'"):
            tracker.client.create_registered_model(CAPTIONER)
        return Registry(tracker)

    @property
    def searched(self) -> str:
        """The version that captioned the live index."""
        return load_live_manifest(self.home.path).captioner.version

    def _put(self, name: str, source: Path) -> None:
        """An artifact with the content of `source`."""
        with self.store.writing(name, DATA) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
            if name == "validated_dataset":
                (folder / "captions.jsonl").rename(folder / "records.jsonl")
                images = sorted((folder / "images").iterdir())
                rows = [(f"images/{f.name}", hashlib.md5(f.read_bytes()).hexdigest())  # noqa: S324
                        for f in images]  # fmt: skip
                table = pd.DataFrame(rows, columns=["image", "md5"])
                table.to_parquet(folder / "splits.parquet", index=False)
            self.store.publish(folder, Artifact(name, folder, DATA, data_md5=DATA))
        self.made[name] = DATA
