"""What assets are handed: the data set by DVC, and artifacts by data version.

Resources are light to build and open nothing before an asset asks. The I/O manager stores nothing:
it turns "the upstream asset" into the folder of the very data version that Dagster's event log
names, so that what lies newest on disk decides nothing.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg

from dagster_project.artifacts import Artifact, ArtifactStore
from dagster_project.pointer import ensure_data
from finecap.config import DataConfig

DATA_VERSION = "dagster/data_version"
_RECENT = 50  # materializations looked through for the one of this run


class DataResource(dg.ConfigurableResource):
    """The data set at the version its pointer names."""

    root: str  # the repository, which relative folders and pointers start from
    home: str

    def folder(self, config: DataConfig) -> Path:
        """Where the data set lies."""
        return Path(self.root) / config.folder

    def ensure(
        self, config: DataConfig, draw: Callable[[Path], None] | None, say: Callable[[str], None]
    ) -> str:
        """The md5 of the data, present and as the pointer says; see `ensure_data`."""
        cache = Path(self.home) / "data_md5.json"
        pointer = Path(self.root) / config.pointer
        return ensure_data(self.folder(config), pointer, cache, draw, say)


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Hands an upstream asset's artifact to the asset that reads it."""

    folder: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store nothing: stages write their own artifacts."""

    def load_input(self, context: dg.InputContext) -> Artifact:
        """The artifact of the upstream's materialization: this run's, else its latest.

        Raises:
            ArtifactMissingError: it is not complete on disk.
        """
        step = context.step_context
        version = materialized_version(step.instance, context.asset_key, step.run_id)
        if version is None:
            name = context.asset_key.to_user_string()
            raise dg.Failure(f"{name} was never materialized; materialize it first")
        return ArtifactStore(Path(self.folder)).get("/".join(context.asset_key.path), version)


def materialized_version(
    instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str | None = None
) -> str | None:
    """Data version of the asset's materialization in that run, else of its latest."""
    return version_in(materialization_tags(instance, key, run_id))


def materialization_tags(
    instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str | None = None
) -> Mapping[str, str]:
    """Tags of the asset's materialization in that run, else of its latest; empty without any."""
    events = instance.fetch_materializations(key, limit=_RECENT).records
    own = [event for event in events if event.run_id == run_id]
    for event in own or events:
        if event.asset_materialization is not None:
            return event.asset_materialization.tags or {}
    return {}


def version_in(tags: Mapping[str, str]) -> str | None:
    """The data version that a materialization's tags say."""
    return tags.get(DATA_VERSION)
