"""Profiles: what is built in, how they combine, and how a wrong one is refused."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ValidationError

from finecap import config
from finecap.config import (
    OPTIONAL_REWARDS,
    REWARDS,
    ClipRewardConfig,
    DataConfig,
    Profile,
    ProfileError,
    Stage,
    load_profile,
    merged,
    profile_names,
    profile_sources,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.yaml"


def test_every_built_in_profile_loads() -> None:
    assert {load_profile(name).name for name in profile_names()} == set(profile_names())
    assert {"scenes", "smoke", "flickr8k", "coco"} <= set(profile_names())


def test_the_default_profile_trains_every_reward_variant() -> None:
    profile = load_profile("scenes")
    assert tuple(profile.default_rewards) == REWARDS
    assert tuple(profile.scst) == (*REWARDS, *OPTIONAL_REWARDS)


def test_optional_variants_are_trained_where_a_profile_says_so(own: Path) -> None:
    own.write_text("extends: scenes\nname: own\noptional: [self_retrieval]\n")
    assert load_profile(str(own)).default_rewards == [*REWARDS, "clip_s_grammar_spoilt"]
    own.write_text("extends: scenes\nname: own\noptional: []\n")
    assert load_profile(str(own)).default_rewards == [*REWARDS, *OPTIONAL_REWARDS]


def test_an_optional_variant_that_does_not_exist_is_refused(own: Path) -> None:
    own.write_text("name: own\noptional: [beauty]\n")
    with pytest.raises(ProfileError, match="`optional` has beauty, expected variants of `scst`"):
        load_profile(str(own))


def test_a_length_window_that_ends_before_it_begins_is_refused(own: Path) -> None:
    own.write_text("name: own\nscst: {clip_s: {length_min: 9, length_max: 8}}\n")
    with pytest.raises(ProfileError, match="`length_min` 9 is above `length_max` 8"):
        load_profile(str(own))


def test_every_architecture_that_a_profile_names_has_its_weights() -> None:
    open_clip = import_module("finecap.models.architectures").open_clip
    profiles = [load_profile(name) for name in profile_names()]
    named = [c for p in profiles for c in (p.base_clip, p.judge_clip) if c.architecture]
    assert named
    for encoder in named:
        assert encoder.pretrained in open_clip.list_pretrained_tags_by_model(encoder.architecture)


def test_no_warm_up_is_longer_than_its_run() -> None:
    for name in profile_names():
        for variant, scst in load_profile(name).scst.items():
            assert scst.warmup_steps <= scst.steps / 5 or name == "smoke", (name, variant)


def test_a_profile_that_extends_keeps_what_it_leaves_out(own: Path) -> None:
    own.write_text("extends: scenes\nname: own\nmle: {epochs: 2}\n")
    scenes, profile = load_profile("scenes"), load_profile(str(own))
    assert profile.name == "own"
    assert profile.mle == scenes.mle.model_copy(update={"epochs": 2})
    assert profile.model_dump(exclude={"name", "mle"}) == scenes.model_dump(exclude={"name", "mle"})


def test_a_profile_may_extend_a_file(own: Path, tmp_path: Path) -> None:
    own.write_text("name: own\nmle: {epochs: 2, width: 64}\n")
    child = tmp_path / "child.yml"
    child.write_text(f"extends: {own}\nname: child\nmle: {{epochs: 3}}\n")
    mle = load_profile(str(child)).mle
    assert (mle.epochs, mle.width) == (3, 64)


def test_what_reward_variants_share_is_overruled_by_their_own(own: Path) -> None:
    own.write_text(
        "name: own\nscst_common: {steps: 7, lr: 0.001}\n"
        "scst: {clip_s: {}, cider: {weights: {cider: 1.0}, steps: 9}}\n"
    )
    scst = load_profile(str(own)).scst
    assert (scst["clip_s"].steps, scst["cider"].steps) == (7, 9)
    assert scst["clip_s"].lr == scst["cider"].lr == 0.001
    assert scst["cider"].weights == {"cider": 1.0}


def test_what_variants_share_counts_without_variants_of_ones_own(own: Path) -> None:
    own.write_text("name: own\nscst_common: {steps: 7}\n")
    assert load_profile(str(own)).scst["clip_s"].steps == 7


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"unknown profile 'scene', expected one of .*scenes"):
        load_profile("scene")


def test_a_file_that_is_not_there_is_refused_by_name(own: Path) -> None:
    with pytest.raises(ProfileError, match=r"own\.yaml does not exist"):
        load_profile(str(own))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mle: {epoch: 2}", r"field mle\.epoch: Extra inputs are not permitted \(came: 2\)"),
        ("mel: {epochs: 2}", r"field mel: Extra inputs are not permitted"),
        ("mle: {epochs: 0}", r"field mle\.epochs: .*greater than or equal to 1 \(came: 0\)"),
        ("mle: {epochs: many}", r"field mle\.epochs: .*valid integer.* \(came: 'many'\)"),
        ("scst: {clip_s: {baseline: none}}", r"field scst\.clip_s\.baseline: .*'greedy'"),
        (
            "mle: {batch_size: 8, accumulate: 3, processes: 3}",
            r"field mle: .*a batch of 8 cannot be taken in 9 parts .*; raise `batch_size`",
        ),
        ("scst: {clip_s: }", r"field scst\.clip_s: Input should be a valid dictionary"),
        ("mle: {family: gru}", r"field mle\.family: .*'transformer', 'lstm' or 'huggingface'"),
        (
            "mle: {family: huggingface, pretrained: git, image_encoder: clip}",
            r"field mle: .*`image_encoder: clip` is for families of our own",
        ),
        ("mle: {image_encoder: timm}", r"field mle: .*\(resnet50\) is frozen and has no weights"),
        ("mle: {family: lstm, bicaptioning: true}", r"field mle: .*`bicaptioning` is for `fam"),
        ("scst: [clip_s]", r"field scst: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_field_or_value_is_refused_by_name(own: Path, text: str, message: str) -> None:
    own.write_text(f"name: own\n{text}\n")
    with pytest.raises(ProfileError, match=rf"own\.yaml: {message}"):
        load_profile(str(own))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("architecture: ViT-B-32", "`architecture` ViT-B-32 needs `pretrained`: an open_clip"),
        ("pretrained: openai", "need an open_clip `architecture`"),
        ("tokenizer: folder", "need an open_clip `architecture`"),
        ("epochs: 0", "`epochs` is 0, which is for `pretrained` weights alone"),
        (
            "architecture: ViT-B-32, pretrained: openai, word_dropout: 0.1",
            "with `architecture` ViT-B-32, `word_dropout` and `feature_dropout` must be 0",
        ),
    ],
)
def test_an_encoder_without_a_source_of_weights_is_refused(
    own: Path, fields: str, message: str
) -> None:
    own.write_text(f"name: own\nbase_clip: {{{fields}}}\n")
    with pytest.raises(ProfileError, match=f"field base_clip: Value error, .*{message}"):
        load_profile(str(own))


def test_an_image_encoder_has_weights_or_is_trained_from_scratch(own: Path) -> None:
    for given in ("timm_checkpoint: r50.safetensors", "image_trainable: true"):
        own.write_text(f"name: own\nmle: {{image_encoder: timm, {given}}}\n")
        assert load_profile(str(own)).mle.image_encoder == "timm"


def test_a_refusal_says_where_all_fields_are_printed(own: Path) -> None:
    own.write_text("name: own\nnothing: 1\n")
    with pytest.raises(ProfileError, match="`finecap profile show scenes` prints every field"):
        load_profile(str(own))


def test_a_nameless_profile_is_refused(own: Path) -> None:
    own.write_text("")
    with pytest.raises(ProfileError, match="field name: Field required"):
        load_profile(str(own))


def test_a_list_is_no_profile(own: Path) -> None:
    own.write_text("- name: own\n")
    with pytest.raises(ProfileError, match=r"own\.yaml: expected a mapping of stages"):
        load_profile(str(own))


def test_a_file_that_is_not_yaml_is_refused(own: Path) -> None:
    own.write_text("name: [own\n")
    with pytest.raises(ProfileError, match=r"own\.yaml is not YAML"):
        load_profile(str(own))


def test_a_stage_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DataConfig().seed = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"grammar_loss": "contrastive"}, "`grammar_loss: contrastive` trains none"),
        ({"grammar_tower": "joint"}, "`grammar_tower: joint` trains it with that loss"),
        ({"grammar_steps": 0}, "`grammar_steps: 0` leaves it untrained"),
    ],
)
def test_a_threshold_without_a_head_trained_before_is_refused(
    settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=f"needs a grammar head trained .*but {reason}"):
        ClipRewardConfig.model_validate({"positive_threshold": 0.5, **settings})
    assert ClipRewardConfig.model_validate(settings).positive_threshold is None
    assert ClipRewardConfig(positive_threshold=0.5, grammar_loss="both").positive_threshold == 0.5


def test_merging_changes_neither_side() -> None:
    base, over = {"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"y": 3}, "b": [2]}
    assert merged(base, over) == {"a": {"x": 1, "y": 3}, "b": [2]}
    assert base == {"a": {"x": 1, "y": 2}, "b": [1]}


def test_a_profile_survives_being_written_and_read() -> None:
    profile = load_profile("smoke")
    assert Profile.model_validate_json(profile.model_dump_json()) == profile


def test_every_field_of_a_stage_is_read_by_some_code() -> None:
    code = "\n".join(
        path.read_text()
        for folder in ("src/finecap", "dagster_project")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.parent.name != "config"
    )
    stages = [s for s in vars(config).values() if isinstance(s, type) and issubclass(s, Stage)]
    unread = [
        f"{stage.__name__}.{field}"
        for stage in stages
        for field in stage.model_fields
        if not re.search(rf"\.{field}\b", code)
    ]
    assert len(stages) > len(Profile.model_fields) / 2
    assert not unread


def test_each_value_says_which_file_sets_it(own: Path) -> None:
    own.write_text(
        "extends: flickr8k\nname: own\nmle: {epochs: 2}\nscst_common: {lr: 1.0e-6}\n"
        "scst: {cider: {steps: 3}}\n"
    )
    sources = profile_sources(str(own))
    assert sources["mle", "epochs"] == str(own)
    assert sources["mle", "width"] == "flickr8k"
    assert ("index", "min_recall") not in sources
    assert sources["scst", "cider", "lr"] == str(own)
    assert sources["scst", "cider", "steps"] == str(own)
    assert sources["scst", "clip_s", "steps"] == "flickr8k"
    assert sources["scst", "clip_s", "weights", "clip_s"] == "scenes"
    assert ("features", "part") in sources
    assert ("mle", "seed") not in sources


def test_a_profile_that_extends_itself_is_refused(own: Path) -> None:
    own.write_text(f"extends: {own}\nname: own\n")
    with pytest.raises(ProfileError, match="extends itself: "):
        load_profile(str(own))
