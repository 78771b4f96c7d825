"""Each stage's settings as a Dagster run config, so that the Launchpad shows every knob.

The fields are those of `finecap.config`, defined once there; the profile's values become the
defaults. `force` alone is added: it says how a stage runs, not what it makes, so it enters no data
version. Nothing here knows an asset.
"""

from typing import Any, TypeVar

import dagster as dg
from pydantic import Field, create_model

from finecap.config import (
    AttributeNegativesConfig,
    CaptionsConfig,
    ClipConfig,
    ClipRewardConfig,
    DataConfig,
    EvaluationConfig,
    FeaturesConfig,
    GrammarNegativesConfig,
    IndexConfig,
    JudgeGrammarConfig,
    MleConfig,
    ScstConfig,
    SpoiltNegativesConfig,
    Stage,
    ValidationConfig,
)


class Forcible(dg.Config):
    """How a stage runs."""

    force: bool = Field(False, description="run although a result of this data version exists")


class DataRun(DataConfig, Forcible):
    """Run config of `dataset`."""


class ValidationRun(ValidationConfig, Forcible):
    """Run config of `validated_dataset`."""


class GrammarNegativesRun(GrammarNegativesConfig, Forcible):
    """Run config of `grammar_negatives`."""


class AttributeNegativesRun(AttributeNegativesConfig, Forcible):
    """Run config of `attribute_negatives`."""


class SpoiltNegativesRun(SpoiltNegativesConfig, Forcible):
    """Run config of `spoilt_negatives`."""


class ClipRun(ClipConfig, Forcible):
    """Run config of `base_clip` and `judge_clip`."""


class ClipRewardRun(ClipRewardConfig, Forcible):
    """Run config of `clip_reward/*`."""


class JudgeGrammarRun(JudgeGrammarConfig, Forcible):
    """Run config of `judge_grammar`."""


class FeaturesRun(FeaturesConfig, Forcible):
    """Run config of `image_features`."""


class MleRun(MleConfig, Forcible):
    """Run config of the maximum-likelihood captioners."""


class ScstRun(ScstConfig, Forcible):
    """Run config of `scst/*`."""


class EvaluationRun(EvaluationConfig, Forcible):
    """Run config of `evaluation/*`."""


class CaptionsRun(CaptionsConfig, Forcible):
    """Run config of `captions`."""


class IndexRun(IndexConfig, Forcible):
    """Run config of `caption_index`."""


Settings = TypeVar("Settings", bound=Stage)


def with_defaults(run: type[Forcible], stage: Stage) -> type[Forcible]:
    """`run` with the values of `stage` as its defaults."""
    fields: dict[str, Any] = {
        name: (field.annotation, Field(getattr(stage, name), description=field.description))
        for name, field in type(stage).model_fields.items()
    }
    return create_model(run.__name__, __base__=run, __doc__=run.__doc__, **fields)


def settings(config: Forcible, stage: type[Settings]) -> Settings:
    """The library's own settings in a run config: `force` left out, bounds checked again."""
    values = config.model_dump()
    return stage(**{name: values[name] for name in stage.model_fields})


def settings_dump(config: Forcible | Stage) -> dict[str, Any]:
    """What of a run config enters a data version."""
    return {k: v for k, v in config.model_dump(mode="json").items() if k != "force"}
