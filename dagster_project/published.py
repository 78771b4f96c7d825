"""What people look at after a run: scores on MLflow runs and cards, the leaderboard, the decision.

Evaluations enter the run and the version of the captioner they scored, with a contact sheet of what
it says. The leaderboard and the decision enter the pipeline's run. Each is done once per result;
nothing here computes a score.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project.artifacts import MARKER, Artifact, ArtifactStore
from dagster_project.champion import captioner_asset
from dagster_project.compared import CAPTIONER, captioners_page, compare_page
from dagster_project.model_card import KEY_METRICS, SPLITS, version_card
from dagster_project.stages import Stages

if TYPE_CHECKING:
    from dagster_project.tracking import ModelVersion, Tracker
    from finecap.evaluation.results import Evaluation

SHEET = "captions.png"
"""Captions beside their images, in the run of their captioner."""
_SCORED = "evaluation"  # tag of a version: which evaluation its scores are of


def log_scores(
    stages: Stages, context: dg.AssetExecutionContext, scores: Artifact, captioner: Artifact
) -> None:
    """Put an evaluation on its captioner's MLflow run and version; once per evaluation."""
    note = f"{scores.asset}@{scores.data_version}"
    tracker = stages.tracker(context)
    version = tracker.version(CAPTIONER, captioner.data_version, captioner.run_id)
    if version is None or version.tags.get(_SCORED) == note:
        return
    from finecap.evaluation.results import EVALUATION as RESULTS
    from finecap.evaluation.results import read_evaluation

    data = stages.data_of(scores.data_md5, scores.inputs)
    found = read_evaluation(scores.path)
    if tracker.status(version.run_id) is not None:  # else a person has deleted the run
        tracker.add_scores(version, scores.metrics, data)
        if data is not None:
            _add_sheet(tracker, version, found, data.folder)
        tracker.add_file(version.run_id or "", scores.path / RESULTS)
    card = version_card(CAPTIONER, version.tags, data, found.metrics)
    tracker.describe(CAPTIONER, card, str(version.version))
    tracker.tag_version(version, _SCORED, note)


def _add_sheet(
    tracker: "Tracker", version: "ModelVersion", scored: "Evaluation", images: Path
) -> None:
    """Captions beside their images, the same images for every captioner of the data."""
    from finecap.evaluation import contact_sheet
    from finecap.evaluation.report import SAMPLES, draw_samples

    drawn = draw_samples({version.tags["variant"]: scored}, images, SAMPLES)
    with tempfile.TemporaryDirectory() as scratch:
        sheet = Path(scratch) / SHEET
        sheet.write_bytes(contact_sheet.draw(drawn))
        tracker.add_file(version.run_id or "", sheet)


def publish_leaderboard(
    stages: Stages,
    context: dg.AssetExecutionContext,
    made: dg.MaterializeResult,
    rewarded: Mapping[str, str],
) -> dg.MaterializeResult:
    """Hand the leaderboard to people: as reports, on the pipeline's run, and with links in the UI.

    Args:
        stages: the profile's home and store.
        context: of the asset.
        made: the leaderboard.
        rewarded: data version of the captioner by reward, in table order. The link compares these:
            what the others were trained by has no weights to draw.
    """
    board = stages.artifact_of(context, made)
    files = [f for f in sorted(board.path.iterdir()) if f.is_file() and f.name != MARKER]
    stages.home.reports.mkdir(parents=True, exist_ok=True)
    for file in files:
        partial = stages.home.reports / f"{file.name}.partial"
        shutil.copyfile(file, partial)
        partial.replace(stages.home.reports / file.name)
    tracker = stages.tracker(context)
    address = compare_page(tracker.experiment_id, _runs(stages.store, tracker, rewarded))
    is_new = (made.metadata or {}).get("status") == "made"
    if is_new or tracker.pipeline.found() is not None:
        about = _about(board, address)
        tracker.pipeline.attach(board.path, [f.name for f in files], about)
    links = {
        "rewards_compared_in_mlflow": dg.MetadataValue.url(address),
        "all_captioners_in_mlflow": dg.MetadataValue.url(captioners_page(tracker.experiment_id)),
    }
    return made._replace(metadata={**(made.metadata or {}), **links})


def log_decision(
    stages: Stages, context: dg.AssetExecutionContext, made: dg.MaterializeResult
) -> None:
    """Put what was decided, and the champion's scores, on the pipeline's run, if there is one."""
    tracker, shown = stages.tracker(context), made.metadata or {}
    if tracker.pipeline.found() is None:
        return
    chosen = stages.artifact_of(context, made).config
    tags = {"decision": str(shown["decision"]), "champion": str(shown["champion"])}
    run = tracker.client.get_run(str(chosen["run_id"]))
    keys = [f"{split}/{name}" for split in SPLITS for name in KEY_METRICS]
    scores = {key: run.data.metrics[key] for key in keys if key in run.data.metrics}
    tracker.pipeline.decide(tags, scores)


def _runs(store: ArtifactStore, tracker: "Tracker", captioners: Mapping[str, str]) -> list[str]:
    """MLflow runs of the captioners; one that is not registered is left out."""
    made = [store.find(captioner_asset(variant), name) for variant, name in captioners.items()]
    found = [tracker.version(CAPTIONER, a.data_version, a.run_id) for a in made if a is not None]
    return [version.run_id for version in found if version is not None and version.run_id]


def _about(board: Artifact, address: str) -> str:
    """The description of the pipeline's run: the first table, and where the rest is."""
    from finecap.evaluation.tables import markdown_of, summary

    content = json.loads((board.path / "leaderboard.json").read_text())
    return (
        f"[Compare the rewards]({address}). Below the test split, in brackets the bootstrap "
        "interval over images; the page with all metrics, plot and captions beside their images is "
        "`leaderboard/leaderboard.html` among the artifacts.\n\n"
        f"{markdown_of(summary(content['variants']))}"
    )
