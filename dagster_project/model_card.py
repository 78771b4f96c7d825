"""What a registered model is, in words: the description of the model and of each of its versions.

Markdown from facts that other modules have: tags of the version, counts of its data, and scores of
its evaluation, none of them typed here. Pure.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dagster_project.compared import CAPTIONER
from finecap.evaluation.labels import LOWER_IS_BETTER, label

if TYPE_CHECKING:
    from dagster_project.dataset_input import DataSet
    from finecap.evaluation.results import Metric

SPLITS = ("val", "test")
_AIR = "&emsp;"

KEY_METRICS = (
    "judge_t2i_r1",
    "t2i_r1",
    "clip_s",
    "cider",
    "background_recall",
    "colour_recall",
    "size_recall",
    "grammatical_rate",
    "repetition_rate",
    "bad_ending_rate",
    "mean_length",
)
"""Detail, likeness, details named, fluency."""

MODELS = {
    CAPTIONER: "Captioners: an image in, one English sentence out that says what is "
    "distinctive about it. One version per variant and training; tags say which. `champion` is the "
    "one that captions the gallery and is searched, `challenger` the best that passed all guards; "
    "the policy is `mlflow/registry.toml`. Load it with "
    "`mlflow.pyfunc.load_model('models:/finecap-captioner@champion')`.",
    "finecap-clip": "Contrastive image-text encoders: what captioners see, what plain CLIP rewards "
    "score with, and what `clip_s` and `t2i_*` are reported by.",
    "finecap-judge": "Contrastive image-text encoders that no reward ever sees, trained on another "
    "part of the data: what `judge_*` is measured with, and promotion decides by.",
    "finecap-clip-reward": "Contrastive image-text encoders whose text tower and grammar head were "
    "tuned on corrupted captions: what the grammar rewards score with.",
}
"""Description by registered model."""

_HOW = {
    CAPTIONER: "Captioner",
    "finecap-clip": "Encoder of images and sentences",
    "finecap-judge": "Encoder that judges, and never rewards",
    "finecap-clip-reward": "Encoder that rewards",
}
_USE = {
    CAPTIONER: "Captions of images like those it was trained on, for search and for "
    "comparing rewards. The alias `champion` says which version is in use.",
    "finecap-clip": "Features of captioners, rewards and search, within this pipeline.",
    "finecap-judge": "Scoring captions. Never as a reward: then it would judge its own pupil.",
    "finecap-clip-reward": "Rewards of self-critical training, within this pipeline.",
}
_LIMITS = {
    CAPTIONER: "English only. A reward can be exploited: read the captions beside their "
    "images before promoting by hand. Images unlike the data set's are captioned all the same, "
    "and wrongly. Not for descriptions that people's safety or access depends on.",
}
_LIMITS_OF_ENCODERS = (
    "English only. It knows what its data set names; similarities are not comparable between "
    "encoders."
)


def model_description(name: str) -> str:
    """What a registered model holds; empty for one that is not the pipeline's."""
    return MODELS.get(name, "")


def version_card(
    model: str,
    tags: Mapping[str, str],
    data: "DataSet | None",
    scores: Mapping[str, Mapping[str, "Metric"]] | None = None,
) -> str:
    """The card of one version.

    Args:
        model: the registered model.
        tags: of the version: `variant`, `asset`, `profile`, `data_version`, `parents`, `config`.
        data: what it was trained on, where that is known.
        scores: metrics by split and name; None before the version is evaluated.
    """
    variant, profile = tags["variant"], tags["profile"]
    config = json.loads(tags["config"])
    facts = {
        "data": _data(data),
        "reward": _reward(config),
        "asset": f"`{tags['asset']}` @ `{tags['data_version']}`",
        "made from": ", ".join(f"`{parent}`" for parent in _parents(tags["parents"])),
        "seed": str(config.get("seed", "")),
    }
    sections = [
        f"**{_HOW.get(model, 'Model')} `{variant}`**, profile `{profile}`.",
        "\n".join(f"* {name}: {text}" for name, text in facts.items() if text),
        *(_scores(scores) if model == CAPTIONER else []),
        f"**Intended use.** {_USE.get(model, 'Within this pipeline.')}",
        f"**Limits.** {_LIMITS.get(model, _LIMITS_OF_ENCODERS)}",
    ]
    return "\n\n".join(sections)


def _data(data: "DataSet | None") -> str:
    """Name, md5 and sizes, e.g. `scenes`, md5 4a26: train 22,000 (clip 10,000), val 500."""
    if data is None:
        return ""
    parts = ", ".join(f"{part} {n:,}" for part, n in data.by_part.items())
    sizes = [
        f"{split} {n:,}{f' ({parts})' if parts and split == 'train' else ''}"
        for split, n in data.by_split.items()
    ]
    images = f": {', '.join(sizes)} images" if sizes else ""
    return f"`{data.name}`, md5 `{data.md5.removesuffix('.dir')}`{images}"


def _reward(config: Mapping[str, object]) -> str:
    """The reward as a sum, e.g. 1 clip_s + 2 grammar (from 0.25)."""
    weights, start = config.get("weights"), config.get("start_weights")
    if not isinstance(weights, Mapping):
        return ""
    starts = start if isinstance(start, Mapping) else {}
    return " + ".join(
        f"{weight:g} `{term}`{f' (from {starts[term]:g})' if term in starts else ''}"
        for term, weight in weights.items()
    )


def _parents(text: str) -> list[str]:
    """Inputs and packages a model was made from; its data has a line of its own."""
    return [parent for parent in text.split(", ") if parent and not parent.startswith("dataset@")]


def _scores(scores: Mapping[str, Mapping[str, "Metric"]] | None) -> list[str]:
    """The table of both splits; a metric that neither has is left out."""
    if scores is None:
        return ["Not evaluated yet."]
    cells = {name: [_cell(scores[split].get(name)) for split in SPLITS] for name in KEY_METRICS}
    rows = [(_label(name), *both) for name, both in cells.items() if any(both)]
    note = (
        "In brackets the bootstrap interval over images. Decisions read val; test is for the "
        "report alone."
    )
    return [_table(("metric", *SPLITS), rows), note]


def _label(name: str) -> str:
    """The metric's name, and which way is better where that is down."""
    return f"{label(name)} ↓" if name in LOWER_IS_BETTER else label(name)


def _cell(metric: "Metric | None") -> str:
    """A score with its interval; empty where there is none."""
    from finecap.evaluation.results import is_measured  # pandas: not for those who name a model

    if metric is None or not is_measured(metric):
        return ""
    return f"{metric['value']:.3f} [{metric['ci_low']:.3f}, {metric['ci_high']:.3f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with air between its columns, which MLflow's page has none of."""
    lines = [_row(head, _AIR), _row(["---"] * len(head), " "), *(_row(r, _AIR) for r in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str], before: str) -> str:
    return f"| {f' |{before}'.join(cells)} |"
