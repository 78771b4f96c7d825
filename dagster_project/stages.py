"""How every asset runs: once per data version, tracked, timed, and whole on disk or not at all.

`Stages.run` is the one door from an asset to the library. It computes the data version from what
goes in, returns at once when that version is complete on disk (and registered, for models), and
else gives the library an empty folder and a `log` callback. `stage` declares an asset with the
profile's settings as its run config. No asset's name or model lives here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_project import metadata, pods
from dagster_project.artifacts import Artifact, ArtifactStore, naming_full_disk
from dagster_project.dataset_input import DataSet, data_set
from dagster_project.home import Home, experiment_of, owner
from dagster_project.outage import patiently
from dagster_project.registration import Plan, Registered, register, tags_of
from dagster_project.reporting import History, reporter
from dagster_project.retries import retrying
from dagster_project.run_config import Forcible, settings_dump, with_defaults
from dagster_project.tracked_run import TrackedRun, as_training
from dagster_project.unfinished import clear_finished, unfinished
from dagster_project.versions import code_version, data_version, plug_ins
from finecap.config import Stage
from finecap.log import Log

if TYPE_CHECKING:
    from dagster_project.model_store import ModelVersion
    from dagster_project.tracking import Tracker

GPU, REGISTRY = "gpu", "mlflow-db"
"""Concurrency pools; without a limit, set in the UI, they limit nothing."""
Work = Callable[[Path, Log], Mapping[str, float]]
"""Writes an artifact into the empty folder it is given and returns its metrics."""
Details = Callable[[Path], Mapping[str, str]]
"""Markdown by title for the UI, from the finished folder."""


class Stages(dg.ConfigurableResource):
    """Runs stages of one profile in its home."""

    profile: str
    root: str
    path: str  # of the home

    @property
    def home(self) -> Home:
        """Folders of the profile's state."""
        return Home(Path(self.root), Path(self.path))

    @property
    def store(self) -> ArtifactStore:
        """The profile's artifacts."""
        return ArtifactStore(self.home.artifacts)

    def parent(self, artifact: Artifact, asset: str) -> Artifact:
        """The very artifact of `asset` that `artifact` was made from."""
        return self.store.get(asset, artifact.inputs[asset])

    def checkpoints(
        self, context: dg.AssetExecutionContext, config: Forcible, inputs: Sequence[Artifact]
    ) -> Path:
        """Where training keeps its state until it has ended, so that a retry goes on from there."""
        return self._unfinished(_plan(context, config, inputs))

    def tracker(self, context: dg.AssetExecutionContext) -> "Tracker":
        """The profile's MLflow store, on behalf of this Dagster run."""
        from dagster_project.pipeline_run import DagsterRun
        from dagster_project.tracking import Tracker

        run, record = context.run, context.instance.get_run_record_by_id(context.run.run_id)
        job = "by hand" if run.job_name.startswith("__") else run.job_name
        begun = DagsterRun(run.run_id, job, record.start_time if record else None)
        experiment = experiment_of(self.profile)
        return Tracker(self.home.mlflow, experiment, begun, context.log.warning)

    def data_of(self, md5: str, inputs: Mapping[str, str]) -> DataSet | None:
        """The data set that a version was made from, with its sizes; None where it has none.

        Args:
            md5: of the data.
            inputs: version by asset.
        """
        dataset = self.store.find("dataset", md5) if md5 else None
        if dataset is None:
            return None
        validated = self.store.find("validated_dataset", inputs.get("validated_dataset", ""))
        return data_set(self.profile, md5, dataset.path, validated.path if validated else None)

    def run(
        self,
        context: dg.AssetExecutionContext,
        config: Forcible,
        inputs: Sequence[Artifact],
        work: Work,
        *,
        details: Details | None = None,
        registered: Registered | None = None,
        is_valid: Callable[[Artifact], bool] = lambda _: True,
    ) -> dg.MaterializeResult:
        """The stage's materialization, made now unless this data version exists.

        Args:
            context: of the asset.
            config: its run config; `force` makes it anew.
            inputs: the upstream artifacts that `work` reads.
            work: calls the library.
            details: what people see of the result.
            registered: for models, how they enter the registry.
            is_valid: whether an artifact found on disk still holds (e.g. its build is live).

        Raises:
            NoSpaceError: the disk filled up; nothing half-written is left behind.
            InUseError: another process trains this very version.
        """
        plan = _plan(context, config, inputs)
        found = None if config.force else self.store.find(plan.asset, plan.version)
        is_reused = found is not None and is_valid(found)
        artifact = found
        if artifact is None or not is_reused:
            is_anew = config.force and context.retry_number == 0
            artifact = self._make(context, plan, work, details, registered, is_anew)
        elif registered is not None:
            for line in clear_finished(self._unfinished(plan)):
                context.log.info(line)
        extra: dict[str, Any] = {}
        if registered is not None:
            extra = self._enter(context, artifact, registered)
        return result(artifact, is_reused, extra)

    def adopt(
        self,
        context: dg.AssetExecutionContext,
        folder: Path,
        md5: str,
        seconds: float,
        details: Details,
    ) -> dg.MaterializeResult:
        """The materialization of a data set that lies in `folder` and keeps lying there."""
        self.home.claim(self.profile)
        name = "/".join(context.asset_key.path)
        artifact = self.store.find(name, md5)
        is_known = artifact is not None and artifact.path == folder
        if artifact is None or not is_known:
            shown = details(folder)
            artifact = self.store.record(
                Artifact(name, folder, md5, data_md5=md5, details=shown, seconds=seconds)
            )
        return result(artifact, is_known, {"md5": md5})

    def artifact_of(
        self, context: dg.AssetExecutionContext, made: dg.MaterializeResult
    ) -> Artifact:
        """The artifact behind a materialization of this asset."""
        version = made.data_version.value if made.data_version else ""
        return self.store.get("/".join(context.asset_key.path), version)

    def _unfinished(self, plan: Plan) -> Path:
        """The folder of a version's training until it has ended."""
        return self.home.checkpoints / plan.asset / plan.version

    def _make(
        self,
        context: dg.AssetExecutionContext,
        plan: Plan,
        work: Work,
        details: Details | None,
        registered: Registered | None,
        is_anew: bool,
    ) -> Artifact:
        """Run `work` in a folder that becomes the artifact when all went well.

        A model's training goes on where an attempt before was broken off, in the same MLflow run,
        unless it `is_anew`.
        """
        if registered is None:
            return self._write(context, plan, work, details, History())
        name = registered.run_name(plan.asset)
        tags, data = tags_of(plan, registered), self.data_of(plan.data_md5, plan.inputs)
        from dagster_project.system_metrics import monitored

        with unfinished(self._unfinished(plan)) as kept:
            if is_anew:
                kept.empty()
            before = kept.run_id
            tracker = self.tracker(context)
            opened = tracker.child(
                name, plan.config, tags, before, data=data, awaited=registered.awaited
            )
            with opened as run, monitored(tracker, run.run_id):
                kept.report_to(run)
                if before not in {None, run.run_id}:
                    context.log.warning(
                        f"MLflow run {before} of the training so far was deleted, or is finished: "
                        f"a new run, {run.run_id}, has its metrics and takes those to come"
                    )
                artifact = self._write(context, plan, work, details, kept.history, run)
            for line in kept.clear():
                context.log.info(line)
        return artifact

    def _write(
        self,
        context: dg.AssetExecutionContext,
        plan: Plan,
        work: Work,
        details: Details | None,
        history: History,
        run: TrackedRun | None = None,
    ) -> Artifact:
        with self.store.writing(plan.asset, plan.version) as folder:
            started = time.monotonic()
            metrics = dict(work(folder, reporter(context, history, run)))
            seconds = time.monotonic() - started
            if run is not None:
                run.log(None, as_training(metrics))
            shown = {
                "curves": metadata.curves(history.rows),
                **(details(folder) if details else {}),
            }
            artifact = Artifact(
                plan.asset,
                folder,
                plan.version,
                data_md5=plan.data_md5,
                inputs=plan.inputs,
                metrics=metrics,
                config=plan.config,
                details={title: text for title, text in shown.items() if text},
                history=tuple(history.rows),
                seconds=seconds,
                run_id=run.run_id if run else None,
            )
            return self.store.publish(folder, artifact)

    def _enter(
        self,
        context: dg.AssetExecutionContext,
        artifact: Artifact,
        registered: Registered,
    ) -> dict[str, Any]:
        """Register the artifact unless it is; what the UI shows of that."""
        tracker = self.tracker(context)

        def enter() -> "ModelVersion":
            tracker.check()
            # After a lost answer it may be entered already, by a run that was begun for it.
            made = self.store.get(artifact.asset, artifact.data_version)
            version = tracker.version(registered.name, made.data_version, made.run_id)
            if version is None:
                data = self.data_of(made.data_md5, made.inputs)
                version = register(
                    tracker, self.store, made, registered, self.profile, self.home, data
                )
            return version

        kept = f"the artifact in {artifact.path} is whole, and the next run registers it"
        with naming_full_disk(artifact.asset, tracker.place, kept):
            version = patiently(enter, artifact.asset, tracker.say)
        run_id = version.run_id or ""
        return {
            "registered_model": f"{version.name} v{version.version}",
            "mlflow_run": dg.MetadataValue.url(tracker.page(run_id)),
        }


def stage(
    run: type[Forcible],
    settings: Stage | None,
    *,
    group: str,
    modules: Sequence[str],
    files: Sequence[Path] = (),
    priority: int = 0,
    kinds: Sequence[str] = (),
    pool: str | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare an asset that runs as a stage.

    Args:
        run: the run config its body is annotated with.
        settings: the profile's values, which become the defaults; None where it has no knobs.
        group: of the asset graph.
        modules: library modules that make its result; with what they import, its code version.
        files: data files of the library that its result depends on.
        priority: of its step among those ready; higher first.
        kinds: shown in the UI.
        pool: of which Dagster may be told how many run at once, over all runs; `GPU` for what
            computes with PyTorch.
        options: of `dg.asset`.
    """

    def declare(body: Callable[..., Any]) -> dg.AssetsDefinition:
        defaults = run if settings is None else with_defaults(run, settings)
        body.__annotations__["config"] = defaults
        packages = {} if settings is None else plug_ins(settings_dump(settings))
        return dg.asset(
            group_name=group,
            code_version=code_version(modules, files, packages),
            io_manager_key="artifacts",
            op_tags={"dagster/priority": str(priority), pods.TAG: pods.pod(kinds)},
            kinds=set(kinds),
            owners=[owner()],
            pool=pool or (GPU if "pytorch" in kinds else None),
            metadata={"settings": dg.MetadataValue.json(settings_dump(defaults(force=False)))},
            **options,
        )(retrying(body))

    return declare


def result(artifact: Artifact, is_reused: bool, extra: Mapping[str, Any]) -> dg.MaterializeResult:
    """The materialization: data version, numbers, and what people look at."""
    shown = {title: dg.MetadataValue.md(text) for title, text in artifact.details.items()}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(artifact.data_version),
        metadata={
            "status": "reused" if is_reused else "made",
            "folder": dg.MetadataValue.path(str(artifact.path)),
            "library_seconds": 0.0 if is_reused else artifact.seconds,
            "metrics": dg.MetadataValue.md(metadata.numbers(artifact.metrics)),
            **shown,
            **extra,
        },
    )


def _plan(context: dg.AssetExecutionContext, config: Forcible, inputs: Sequence[Artifact]) -> Plan:
    """Name and data version of what the stage makes."""
    key = context.asset_key
    code = context.assets_def.code_versions_by_key[key] or ""
    dump = settings_dump(config)
    versions = {artifact.asset: artifact.data_version for artifact in inputs} | plug_ins(dump)
    md5s = {artifact.data_md5 for artifact in inputs}
    if len(md5s) > 1:
        raise dg.Failure(
            f"{'/'.join(key.path)}: its inputs come of different data sets ({sorted(md5s)}); "
            "materialize them again from `dataset` on"
        )
    name = "/".join(key.path)
    return Plan(name, data_version(versions, dump, code), "".join(md5s), versions, dump)
