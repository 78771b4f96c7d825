"""What a run would find already made: the data versions that the graph's definitions lead to.

A second `make run` asks this first and launches nothing when every asset's latest materialization
is the version expected here and lies complete on disk, when the champion was chosen among these
very evaluations, when all models are registered (one that was made anew while MLflow was away is
not), and when alias and live index are as that left them. Stages compute their versions by the same
function, so the answer is a run's, without starting its processes.
"""

from collections.abc import Mapping

import dagster as dg

from dagster_project.artifacts import ArtifactStore
from dagster_project.home import Home, experiment_of
from dagster_project.indexing import is_live
from dagster_project.jobs import everything
from dagster_project.pointer import cached_md5, pointer_md5
from dagster_project.resources import materialization_tags, version_in
from dagster_project.versions import data_version
from finecap.config import Profile

DATASET, CHAMPION, INDEX = (dg.AssetKey(name) for name in ("dataset", "champion", "caption_index"))
_CODE, _INPUT = "dagster/code_version", "dagster/input_data_version/"


def is_up_to_date(
    defs: dg.Definitions, profile: Profile, home: Home, instance: dg.DagsterInstance
) -> bool:
    """Whether a run with the profile's settings would make nothing."""
    md5 = _present_md5(profile, home)
    if md5 is None:
        return False
    store, graph = ArtifactStore(home.artifacts), defs.resolve_asset_graph()
    made = everything().resolve(graph)
    versions: dict[dg.AssetKey, str] = {}
    for key in (key for key in graph.toposorted_asset_keys if key in made):
        node = graph.get(key)
        tags = materialization_tags(instance, key)
        inputs = {parent: versions[parent] for parent in node.parent_keys}
        if key == DATASET:
            versions[key] = md5
        elif key == CHAMPION:
            is_current = _chosen_from(tags, inputs, node.code_version)
            versions[key] = (version_in(tags) or "") if is_current else ""
        else:
            named = {"/".join(parent.path): version for parent, version in inputs.items()}
            chosen = node.metadata["settings"].value
            versions[key] = data_version(named, chosen, node.code_version or "")
        is_whole = store.find("/".join(key.path), versions[key]) is not None
        if version_in(tags) != versions[key] or not is_whole:
            return False
    return _stands(store, versions, home, profile)


def _present_md5(profile: Profile, home: Home) -> str | None:
    """The data's md5 where folder and pointer are there and agree."""
    folder, pointer = home.root / profile.data.folder, home.root / profile.data.pointer
    if not folder.is_dir() or not pointer.is_file():
        return None
    md5, _, _ = cached_md5(folder, home.path / "data_md5.json")
    return md5 if md5 == pointer_md5(pointer) else None


def _chosen_from(
    tags: Mapping[str, str], inputs: Mapping[dg.AssetKey, str], code: str | None
) -> bool:
    """Whether the champion was chosen by this policy and code among these inputs."""
    seen = {key: tags.get(f"{_INPUT}{key.to_user_string()}") for key in inputs}
    return seen == dict(inputs) and tags.get(_CODE) == code


def _stands(
    store: ArtifactStore, versions: Mapping[dg.AssetKey, str], home: Home, profile: Profile
) -> bool:
    """Whether models are registered, the alias names the export, and its build is the live one."""
    from dagster_project.registry import Registry
    from dagster_project.tracking import Tracker

    champion = store.get("champion", versions[CHAMPION])
    tracker = Tracker(home.mlflow, experiment_of(profile.name), "")
    made = [store.get("/".join(key.path), version) for key, version in versions.items()]
    if not all(tracker.has_version_of(a.run_id) for a in made if a.run_id is not None):
        return False
    is_same = Registry(tracker).champion == champion.config["version"]
    return is_same and is_live(store.get("caption_index", versions[INDEX]), home.index)
