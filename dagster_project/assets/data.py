"""Group `data`: the data set at the version its pointer names, and the verdict on it."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from dagster_project import shown
from dagster_project.artifacts import Artifact
from dagster_project.reporting import History, reporter
from dagster_project.resources import DataResource
from dagster_project.run_config import DataRun, ValidationRun, settings
from dagster_project.stages import Stages, stage
from finecap.config import DataConfig, Profile, ValidationConfig
from finecap.log import Log

GROUP = "data"
REJECTED = "rejected_data"
"""Folder of reports, with the rows that fail and their pictures, of the last data refused."""
ACCEPTED = "accepted_data.json"
"""File of reports: how the data accepted last is spread, which the next is compared with."""


def dataset(profile: Profile) -> dg.AssetsDefinition:
    """The records; their md5 in DVC is the data version, so no code version counts."""

    @stage(DataRun, profile.data, group=GROUP, modules=(), priority=20, kinds=("dvc",))
    def dataset(
        context: dg.AssetExecutionContext, config: DataRun, data: DataResource, stages: Stages
    ) -> dg.MaterializeResult:
        """Images and records at the version in the DVC pointer; pulled, or drawn, when missing."""
        chosen, started = settings(config, DataConfig), time.monotonic()

        def draw(folder: Path) -> None:
            from finecap.data.scenes import draw_world

            draw_world(folder, chosen, reporter(context, History()))

        md5 = data.ensure(chosen, draw if chosen.drawn else None, context.log.info)
        seconds = time.monotonic() - started
        return stages.adopt(context, data.folder(chosen), md5, seconds, shown.data_set)

    return dataset


def validated_dataset(profile: Profile) -> dg.AssetsDefinition:
    """The verdict, before which nothing trains."""

    @stage(
        ValidationRun,
        profile.validation,
        group=GROUP,
        modules=("finecap.data.expectations",),
        priority=20,
        kinds=("greatexpectations",),
    )
    def validated_dataset(
        context: dg.AssetExecutionContext, config: ValidationRun, dataset: Artifact, stages: Stages
    ) -> dg.MaterializeResult:
        """Great Expectations' verdict: good rows, quarantined rows with reasons, split table."""
        from finecap.data.expectations import validate

        def work(folder: Path, log: Log) -> Mapping[str, float]:
            accepted = stages.home.reports / ACCEPTED
            before = accepted if accepted.is_file() else None
            chosen = settings(config, ValidationConfig)
            with _kept_on_failure(folder, stages.home.reports / REJECTED):
                verdict = validate(dataset.path, chosen, folder, log, before)
            accepted.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(verdict.features, accepted)
            return {
                "records": verdict.n_records,
                "quarantined": verdict.n_quarantined,
                "success": float(verdict.success),
                "warnings": sum(v.is_warning and not v.success for v in verdict.expectations),
            }

        return stages.run(context, config, [dataset], work, details=shown.validation)

    return validated_dataset


@contextmanager
def _kept_on_failure(folder: Path, rejected: Path) -> Iterator[None]:
    """Keep what a failed validation wrote and its message names; `folder` goes with the stage."""
    from finecap.data.expectations import ValidationFailed

    try:
        yield
    except ValidationFailed as failure:
        shutil.rmtree(rejected, ignore_errors=True)
        shutil.copytree(folder, rejected)
        raise ValidationFailed(str(failure).replace(str(folder), str(rejected))) from None
