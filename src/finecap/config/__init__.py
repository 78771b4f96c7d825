"""Every knob of every stage, once: one flat frozen pydantic model per stage.

A profile (YAML under `profiles/`, or a file of the user's own) gives values for all stages; what it
leaves out keeps the default written here. Stages receive their model whole. What is not here:
paths of artifacts (orchestration hands them over) and promotion policy (`mlflow/registry.toml`).
"""

from finecap.config.captioners import FeaturesConfig, MleConfig, ScstConfig, SharedBatches
from finecap.config.data import (
    AttributeNegativesConfig,
    DataConfig,
    GrammarNegativesConfig,
    ImportConfig,
    SpoiltNegativesConfig,
    ValidationConfig,
)
from finecap.config.encoders import ClipConfig, ClipRewardConfig, JudgeGrammarConfig
from finecap.config.profile import (
    OPTIONAL_REWARDS,
    REWARDS,
    Profile,
    ProfileError,
    load_profile,
    merged,
    profile_names,
    profile_sources,
)
from finecap.config.stage import Stage
from finecap.config.use import CaptionsConfig, EvaluationConfig, IndexConfig, ServeConfig

__all__ = [
    "OPTIONAL_REWARDS",
    "REWARDS",
    "AttributeNegativesConfig",
    "CaptionsConfig",
    "ClipConfig",
    "ClipRewardConfig",
    "DataConfig",
    "EvaluationConfig",
    "FeaturesConfig",
    "GrammarNegativesConfig",
    "ImportConfig",
    "IndexConfig",
    "JudgeGrammarConfig",
    "MleConfig",
    "Profile",
    "ProfileError",
    "ScstConfig",
    "ServeConfig",
    "SharedBatches",
    "SpoiltNegativesConfig",
    "Stage",
    "ValidationConfig",
    "load_profile",
    "merged",
    "profile_names",
    "profile_sources",
]
