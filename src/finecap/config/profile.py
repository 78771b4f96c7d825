"""A profile sets every stage of one pipeline: built in, or a YAML file of the user's own."""

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self, cast

import yaml
from pydantic import Field, ValidationError, model_validator

from finecap.config.captioners import FeaturesConfig, MleConfig, ScstConfig
from finecap.config.data import (
    AttributeNegativesConfig,
    DataConfig,
    GrammarNegativesConfig,
    SpoiltNegativesConfig,
    ValidationConfig,
)
from finecap.config.encoders import ClipConfig, ClipRewardConfig, JudgeGrammarConfig
from finecap.config.stage import Stage
from finecap.config.use import CaptionsConfig, EvaluationConfig, IndexConfig, ServeConfig

REWARDS = ("cider", "clip_s", "cider_clip_s", "clip_s_grammar", "clip_s_grammar_attribute")
"""The reward variants of self-critical training, in the order tables show them."""
OPTIONAL_REWARDS = ("self_retrieval", "clip_s_grammar_spoilt")
"""Variants that the built-in profiles describe and train only when asked to."""


class Profile(Stage):
    """All stages of one pipeline."""

    name: str
    data: DataConfig = DataConfig()
    validation: ValidationConfig = ValidationConfig()
    grammar_negatives: GrammarNegativesConfig = GrammarNegativesConfig()
    attribute_negatives: AttributeNegativesConfig = AttributeNegativesConfig()
    spoilt_negatives: SpoiltNegativesConfig = SpoiltNegativesConfig()
    base_clip: ClipConfig = ClipConfig()
    judge_clip: ClipConfig = ClipConfig(part="judge", seed=1)
    judge_grammar: JudgeGrammarConfig = JudgeGrammarConfig()
    clip_reward: ClipRewardConfig = ClipRewardConfig()
    features: FeaturesConfig = FeaturesConfig()
    mle: MleConfig = MleConfig()
    scst: dict[str, ScstConfig] = Field(
        default={"clip_s": ScstConfig()}, description="by reward variant"
    )
    optional: list[str] = Field(
        default=[],
        description="reward variants that no job trains and the leaderboard does without; they "
        "are materialized by hand",
    )
    evaluation: EvaluationConfig = EvaluationConfig()
    captions: CaptionsConfig = CaptionsConfig()
    index: IndexConfig = IndexConfig()
    serve: ServeConfig = ServeConfig()

    @model_validator(mode="after")
    def _optional_variants_exist(self) -> Self:
        """A variant that can be left out is one that there is."""
        unknown = set(self.optional) - set(self.scst)
        if unknown:
            raise ValueError(
                f"`optional` has {', '.join(sorted(unknown))}, expected variants of `scst`: "
                f"{', '.join(self.scst)}"
            )
        return self

    @property
    def default_rewards(self) -> list[str]:
        """The reward variants that a run trains, in the profile's order."""
        return [reward for reward in self.scst if reward not in self.optional]


class ProfileError(ValueError):
    """A profile that is unknown, unreadable, or has a field no stage knows."""


def profile_names() -> list[str]:
    """Names of the built-in profiles, sorted."""
    folder = resources.files("finecap") / "profiles"
    return sorted(Path(str(f)).stem for f in folder.iterdir() if str(f).endswith(".yaml"))


def load_profile(name_or_file: str) -> Profile:
    """The profile of that built-in name, or in that YAML file.

    `extends: NAME` at the top takes over another profile; `scst_common:` holds what all reward
    variants share.

    Raises:
        ProfileError: unknown name, or a field or value no stage accepts; names file and field.
    """
    values: dict[str, Any] = {}
    for _, written in _chain(name_or_file):
        values = merged(values, written)
    common = values.pop("scst_common", {})
    if common:
        values.setdefault("scst", {"clip_s": {}})
    if isinstance(values.get("scst"), dict):
        values["scst"] = {
            name: {**common, **own} if isinstance(own, dict) else own
            for name, own in values["scst"].items()
        }
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ProfileError(
            f"profile {name_or_file}: field {field}: {first['msg']} (came: {first['input']!r}); "
            "`finecap profile show scenes` prints every field"
        ) from error


def profile_sources(name_or_file: str) -> dict[tuple[str, ...], str]:
    """Which file sets each value, by its path; what is not in it keeps its default.

    Raises:
        ProfileError: as `load_profile` does.
    """
    profile = load_profile(name_or_file)
    found: dict[tuple[str, ...], str] = {}
    for source, written in _chain(name_or_file):
        for path in _leaves(written):
            if path[0] == "scst_common":
                own = _own(name_or_file)
                variants = [reward for reward in profile.scst if (reward, *path[1:]) not in own]
                found |= {("scst", reward, *path[1:]): source for reward in variants}
            else:
                found[path] = source
    return found


def _own(name_or_file: str) -> set[tuple[str, ...]]:
    """What a variant of `scst` sets itself: there it goes before what all share."""
    return {
        path[1:]
        for _, written in _chain(name_or_file)
        for path in _leaves({"scst": written.get("scst", {})})
    }


def _leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all values that are no mappings with something in them."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast("Mapping[str, Any]", value), (*above, str(key)))
        else:
            yield (*above, str(key))


def _chain(name_or_file: str) -> list[tuple[str, dict[str, Any]]]:
    """The profile and those it extends, each with its values as written, the farthest first.

    Raises:
        ProfileError: a file is unreadable, or extends itself.
    """
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: list[str] = []
    name: str | None = name_or_file
    while name:
        if name in seen:
            raise ProfileError(f"profile {name} extends itself: {' extends '.join([*seen, name])}")
        seen.append(name)
        values = _read(name)
        base = values.pop("extends", None)
        chain.insert(0, (name, values))
        name = None if base is None else str(base)
    return chain


def _read(name_or_file: str) -> dict[str, Any]:
    """The profile's values as written."""
    path = Path(name_or_file)
    if path.suffix not in {".yaml", ".yml"}:
        if name_or_file not in profile_names():
            raise ProfileError(
                f"unknown profile {name_or_file!r}, expected one of {', '.join(profile_names())} "
                "or the path of a .yaml file"
            )
        path = Path(str(resources.files("finecap") / "profiles" / f"{name_or_file}.yaml"))
    if not path.is_file():
        raise ProfileError(f"profile file {path} does not exist")
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ProfileError(f"profile file {path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ProfileError(f"profile file {path}: expected a mapping of stages")
    return values


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, nested mappings merged field by field."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result
