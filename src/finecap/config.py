"""Every knob of every stage, once: one flat frozen pydantic model per stage.

A profile (YAML under `profiles/`, or a file of the user's own) gives values for all stages; what it
leaves out keeps the default written here. Stages receive their model whole. What is not here:
paths of artifacts (orchestration hands them over) and promotion policy (`mlflow/registry.toml`).
"""

from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

REWARDS = ("cider", "clip_s", "cider_clip_s", "clip_s_grammar", "clip_s_grammar_attribute")
"""The reward variants of self-critical training, in the order tables show them."""
OPTIONAL_REWARDS = ("self_retrieval", "clip_s_grammar_spoilt")
"""Variants that the built-in profiles describe and train only when asked to."""


class Stage(BaseModel):
    """A stage's settings: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Stage):
    """Where the data set lies and, for the drawn world, how much of it there is."""

    folder: str = Field(default="data", description="holds captions.jsonl and images/")
    pointer: str = Field(
        default="data.dvc", description="the DVC file that names the folder's version"
    )
    drawn: bool = Field(
        default=True, description="draw the default world when the folder is missing"
    )
    seed: int = Field(default=0, ge=0, description="of the drawn world")
    clip_images: int = Field(default=10_000, ge=0, description="train images of part `clip`")
    judge_images: int = Field(default=8_000, ge=0, description="train images of part `judge`")
    captioner_images: int = Field(
        default=4_000, ge=0, description="train images of part `captioner`"
    )
    val_images: int = Field(default=500, ge=1)
    test_images: int = Field(default=1_000, ge=1)


class ValidationConfig(Stage):
    """Bounds of the Great Expectations suite; rows outside them are quarantined."""

    min_captions: int = Field(default=1, ge=1, description="per image")
    max_caption_words: int = Field(default=60, ge=1)
    min_side: int = Field(default=32, ge=1, description="pixels")
    max_side: int = Field(default=8192, ge=1, description="pixels")
    max_quarantined_share: float = Field(
        default=0.01, ge=0, le=1, description="above it the run stops"
    )


class GrammarNegativesConfig(Stage):
    """Corruptions of correct captions (design: repeat, remove, insert, swap, shuffle, cut off)."""

    seed: int = Field(default=0, ge=0)
    per_caption: int = Field(default=4, ge=1, description="corruptions drawn for each caption")
    max_captions: int = Field(
        default=60_000, ge=1, description="captions corrupted, in seeded order"
    )


class AttributeNegativesConfig(Stage):
    """Captions with the words of one attribute removed, or swapped for another value."""

    seed: int = Field(default=0, ge=0)
    attributes: list[str] = Field(default=["colour", "background", "size", "relation"])
    lexicon_folder: str | None = Field(
        default=None, description="own lexicons, added to the built-in ones"
    )


class SpoiltNegativesConfig(Stage):
    """Captions that a bare CLIP reward has spoilt, as negatives of the grammar head."""

    max_images: int = Field(default=4_000, ge=1, description="train images, in seeded order")
    samples_per_image: int = Field(
        default=4, ge=0, description="captions drawn of each, beside its greedy one"
    )
    temperature: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=28, ge=2, description="words and EOS")
    batch_size: int = Field(default=256, ge=1, description="images decoded at a time")
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)


class ClipConfig(Stage):
    """A contrastive encoder of open_clip's making: pretrained, or trained here."""

    architecture: str | None = Field(
        default=None,
        description="an open_clip model, as `ViT-B-32`: sizes, vocabulary and preprocessing are "
        "its own and it learns by contrast alone; empty: the fields of the towers shape one",
    )
    pretrained: str | None = Field(
        default=None,
        description="weights of `architecture`: an open_clip tag, as `openai`, or a local file",
    )
    tokenizer: str | None = Field(
        default=None,
        description="local folder of the Hugging Face tokenizer that a SigLIP model reads; empty: "
        "the hub's",
    )
    embed_dim: int = Field(default=128, ge=8)
    image_size: int = Field(default=64, ge=16, description="pixels; images are resized to it")
    image_tower: Literal["resnet", "vit", "timm"] = "resnet"
    image_width: int = Field(
        default=16, ge=8, description="channels of the first stage, or ViT width"
    )
    image_layers: int = Field(default=1, ge=1, description="blocks per stage, or ViT layers")
    patch_size: int = Field(default=8, ge=1, description="ViT only")
    timm_model: str = Field(default="mobilenetv2_100", description="image tower `timm` only")
    timm_checkpoint: str | None = Field(default=None, description="its weights, safetensors")
    image_trainable: bool = Field(default=True, description="false: locked-image tuning (LiT)")
    text_width: int = Field(default=128, ge=8)
    text_layers: int = Field(default=2, ge=1)
    text_heads: int = Field(default=4, ge=1)
    context_length: int = Field(default=40, ge=4, description="tokens, prompt included")
    min_word_count: int = Field(default=1, ge=1, description="rarer words become <unk>")
    prompt: str = Field(
        default="A photo depicts", description="before every scored caption (CLIPScore)"
    )
    text: Literal["alt_text", "captions"] = "alt_text"
    references: list[int] = Field(
        default=[], description="which references `text: captions` reads, from 0; empty: all"
    )
    part: str = Field(default="clip", description="train images read; empty: all")
    word_loss_weight: float = Field(
        default=1.0, ge=0, description="of predicting the text's words from the grid (SuperClass)"
    )
    word_epochs: int = Field(
        default=6, ge=0, description="epochs before `epochs` with the word loss alone"
    )
    word_batch_size: int = Field(default=64, ge=1, description="images a step in those")
    feature_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="of a frozen trunk's pooled features"
    )
    word_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of a text's words that become <unk>"
    )
    epochs: int = Field(default=6, ge=0, description="0: `pretrained` weights are used as they are")
    batch_size: int = Field(default=128, ge=2)
    accumulate: int = Field(default=1, ge=1, description="parts that texts are encoded in: memory")
    lr: float = Field(
        default=3e-3, gt=0, description="for random weights; pretrained ones want about 1e-5"
    )
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_share: float = Field(default=0.1, ge=0, le=0.5, description="of all steps, linear")
    bf16: bool = Field(
        default=True, description="autocast; halves the time on CPUs with avx512_bf16"
    )
    threads: int = Field(default=1, ge=0, description="0 leaves torch's own choice")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _weights_come_from_somewhere(self) -> Self:
        """Random weights are trained; others have a source; neither takes the other's knobs."""
        name = self.architecture
        if name is None and (self.pretrained or self.tokenizer):
            raise ValueError("`pretrained` and `tokenizer` need an open_clip `architecture`")
        if name is None and not self.epochs:
            raise ValueError("`epochs` is 0, which is for `pretrained` weights alone")
        if name and self.pretrained is None:
            raise ValueError(f"`architecture` {name} needs `pretrained`: an open_clip tag or file")
        if name and (self.word_dropout or self.feature_dropout):
            raise ValueError(
                f"with `architecture` {name}, `word_dropout` and `feature_dropout` must be 0"
            )
        return self


class ClipRewardConfig(Stage):
    """The reward's encoder: text tower and grammar head tuned on negatives, image tower frozen."""

    grammar_tower: Literal["joint", "recurrent"] = Field(
        default="recurrent", description="what the head reads: CLIP's text tower, or its own GRU"
    )
    grammar_loss: Literal["classification", "contrastive", "both"] = Field(
        default="classification",
        description="what corruptions train: the head, columns of the contrastive loss, or both",
    )
    hidden: int = Field(default=256, ge=1, description="units of the head's hidden layer")
    grammar_steps: int = Field(
        default=700, ge=0, description="of a recurrent tower alone, before `steps` of all losses"
    )
    positive_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="captions of lower g are no positives of the contrastive loss; unset: all are",
    )
    steps: int = Field(default=120, ge=1)
    batch_size: int = Field(default=128, ge=2)
    accumulate: int = Field(default=1, ge=1, description="parts that texts are encoded in: memory")
    lr: float = Field(default=5e-4, gt=0)
    head_lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_share: float = Field(default=0.1, ge=0, le=0.5)
    grammar_weight: float = Field(default=1.0, ge=0, description="of the binary cross-entropy")
    attribute_weight: float = Field(default=1.0, ge=0, description="of the attribute-negative loss")
    val_share: float = Field(default=0.05, gt=0, lt=1, description="of the captions, held out")
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _positives_are_selected_by_a_trained_head(self) -> Self:
        """What g selects for the contrastive loss, it must have been trained for before."""
        reasons = {
            "`grammar_loss: contrastive` trains none": self.grammar_loss == "contrastive",
            "`grammar_tower: joint` trains it with that loss": self.grammar_tower == "joint",
            "`grammar_steps: 0` leaves it untrained": self.grammar_steps == 0,
        }
        found = [reason for reason, holds in reasons.items() if holds]
        if self.positive_threshold is not None and found:
            raise ValueError(
                f"`positive_threshold: {self.positive_threshold}` needs a grammar head trained "
                f"before the contrastive loss, but {found[0]}; set `grammar_tower: recurrent`, "
                "`grammar_steps` above 0 and `grammar_loss` classification or both"
            )
        return self


class FeaturesConfig(Stage):
    """Frozen grid features and CLIP vectors of every image, written once, memory-mapped."""

    part: str = Field(
        default="captioner", description="train images kept; empty: all. val, test: always"
    )
    pixel_size: int = Field(
        default=0, ge=0, description="of pixels kept for captioners that read images; 0: none"
    )
    batch_size: int = Field(default=256, ge=1)
    threads: int = Field(default=1, ge=0)


class SharedBatches(Stage):
    """What a stage's batches are divided by; the step is that of the whole batch all the same."""

    batch_size: int = Field(default=64, ge=1, description="images a step")
    accumulate: int = Field(default=1, ge=1, description="parts a batch is taken in: memory")
    processes: int = Field(
        default=1, ge=1, description="that share each batch; more than one are started by torchrun"
    )

    @model_validator(mode="after")
    def _each_part_has_an_image(self) -> Self:
        """More parts than images would be work done twice."""
        parts = self.accumulate * self.processes
        if parts > self.batch_size:
            raise ValueError(
                f"a batch of {self.batch_size} cannot be taken in {parts} parts (`accumulate` "
                f"{self.accumulate} times `processes` {self.processes}); raise `batch_size`"
            )
        return self


class MleConfig(SharedBatches):
    """Maximum likelihood: cross-entropy on the reference captions."""

    family: Literal["transformer", "lstm", "huggingface"] = Field(
        default="transformer", description="`lstm` is Anderson et al.'s, of `width`"
    )
    pretrained: str | None = Field(
        default=None,
        description="family `huggingface`: its model, a folder or a name on the hub; of the other "
        "fields it reads those of training, `text` and `max_tokens`",
    )
    text: Literal["captions", "alt_text"] = "captions"
    bicaptioning: bool = Field(
        default=False, description="a second Transformer learns captions reversed (VirTex)"
    )
    image_encoder: Literal["cached", "timm", "clip"] = Field(
        default="cached",
        description="what gives the grid: the cached features, or a tower of the captioner's own "
        "that reads `features.pixel_size` images: a timm model, or a copy of the encoder's",
    )
    timm_model: str = Field(default="resnet50", description="image encoder `timm` only")
    timm_checkpoint: str | None = Field(
        default=None, description="its weights, safetensors; none: `image_trainable` from scratch"
    )
    image_size: int = Field(default=0, ge=0, description="pixels `timm` reads; 0: the model's own")
    image_trainable: bool = Field(
        default=False, description="whether an own image encoder learns, here and in `scst`"
    )
    image_lr_scale: float = Field(default=0.1, gt=0, description="of `lr`, for that")
    width: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    encoder_layers: int = Field(default=1, ge=0)
    decoder_layers: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_tokens: int = Field(default=28, ge=2, description="words and EOS")
    min_word_count: int = Field(default=1, ge=1)
    epochs: int = Field(default=4, ge=0, description="0: a `pretrained` model as it is")
    batch_size: int = Field(default=64, ge=1, description="images; all their captions are read")
    lr: float = Field(
        default=2e-3, gt=0, description="for random weights; pretrained ones want about 1e-5"
    )
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_share: float = Field(default=0.1, ge=0, le=0.5)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    bf16: bool = Field(default=False, description="autocast; see `ClipConfig.bf16`")
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)

    @field_validator("epochs")
    @classmethod
    def _new_weights_are_trained(cls, epochs: int, info: ValidationInfo) -> int:
        """Only a pretrained model is of use untrained."""
        if epochs < 1 and info.data.get("pretrained") is None:
            raise ValueError("without a `pretrained` model it must be greater than or equal to 1")
        return epochs

    @model_validator(mode="after")
    def _pretrained_is_of_its_family(self) -> Self:
        """A model of the hub has no other family, and that family no other model."""
        if (self.family == "huggingface") != (self.pretrained is not None):
            raise ValueError(
                f"family is {self.family!r}, pretrained {self.pretrained!r}: expected family "
                "`huggingface` with a `pretrained` model, or neither"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        """An image encoder has weights or gets them; only a Transformer has a second decoder."""
        if self.image_encoder != "cached" and self.family == "huggingface":
            raise ValueError(
                f"`image_encoder: {self.image_encoder}` is for families of our own: that of "
                f"`pretrained` {self.pretrained} is part of it; leave it `cached`"
            )
        if self.image_encoder == "timm" and not (self.timm_checkpoint or self.image_trainable):
            raise ValueError(
                f"`image_encoder: timm` ({self.timm_model}) is frozen and has no weights; set "
                "`timm_checkpoint`, or `image_trainable: true` to train it from scratch"
            )
        if self.bicaptioning and self.family != "transformer":
            raise ValueError(
                f"`bicaptioning` is for `family: transformer`, came {self.family!r}; turn it off"
            )
        return self


class ScstConfig(SharedBatches):
    """Self-critical sequence training; `weights` says what the reward is made of."""

    weights: dict[str, float] = Field(
        default={"clip_s": 1.0},
        description="reward terms by name: clip_s, ref_clip_s, ref_clip_s_scaled, grammar, "
        "grammar_log, cider, length, repetition, lm, self_retrieval, itm, and those of plug-ins",
    )
    start_weights: dict[str, float] = Field(
        default={},
        description="terms that begin at another weight; quadratic growth to `weights` at the end",
    )
    cider_counts_eos: bool = Field(
        default=False, description="`cider` counts a caption's end as a word, as Rennie et al. do"
    )
    length_min: int = Field(default=4, ge=0, description="words; `length` is 1 from here on")
    length_max: int = Field(default=20, ge=0, description="words; `length` is 1 up to here")
    length_slack: float = Field(
        default=4.0, gt=0, description="words outside the window that cost `length` 1"
    )
    repetition_ngram: int = Field(default=2, ge=1, description="n-grams that `repetition` counts")
    lm_order: int = Field(default=3, ge=1, description="n of the language model behind `lm`")
    # 95 % of the drawn world's val references lie above it.
    lm_floor: float = Field(
        default=-2.0,
        le=0,
        description="mean log-probability per word, nats; `lm` is what a caption lacks to it",
    )
    retrieval_neighbours: int = Field(
        default=16, ge=0, description="nearest images among the distractors of `self_retrieval`"
    )
    retrieval_others: int = Field(
        default=16, ge=0, description="other images among them, drawn once by `seed`"
    )
    retrieval_scale: float = Field(
        default=0.0, ge=0, description="inverse temperature; 0: the encoder's own logit scale"
    )
    # 99 % of what a maximum-likelihood captioner says lies above it; at -10 it was 61 %.
    retrieval_floor: float = Field(
        default=25.0, gt=0, description="M, nats: `self_retrieval` is 0 where log p is -M or less"
    )
    itm_model: str | None = Field(
        default=None,
        description="the cross-encoder behind `itm`: its folder, or a name on the hub that the "
        "local cache holds",
    )
    samples_per_image: int = Field(default=5, ge=2, description="K")
    baseline: Literal["greedy", "leave_one_out"] = "leave_one_out"
    kl_weight: float = Field(
        default=0.0, ge=0, description="penalty towards the MLE model, per token"
    )
    temperature: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=28, ge=2, description="words and EOS")
    steps: int = Field(default=100, ge=1)
    batch_size: int = Field(default=128, ge=1, description="images a step")
    lr: float = Field(default=5e-4, gt=0)
    image_lr_scale: float = Field(
        default=0.1, gt=0, description="of `lr`, for an image encoder that learns"
    )
    warmup_steps: int = Field(default=5, ge=0)
    grad_clip: float = Field(default=1.0, gt=0, description="norm")
    val_every: int = Field(
        default=25, ge=1, description="steps between looks at val, and checkpoints"
    )
    val_images: int = Field(default=500, ge=1)
    max_repetition: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="a checkpoint whose val captions repeat more is not chosen",
    )
    max_bad_endings: float = Field(
        default=1.0, ge=0, le=1, description="nor one of which more end in `a`, `of` and the like"
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="looks at val without gain that end the run; 0: none do",
    )
    bf16: bool = Field(default=False, description="autocast of the policy; rewards stay fp32")
    encoder_from_reward: float = Field(
        default=0.0,
        ge=0,
        description="learning rate of the reward's text tower, in shares of `lr`; 0: it stays",
    )
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _length_window_is_one(self) -> Self:
        """A window has a beginning before its end."""
        if self.length_min > self.length_max:
            raise ValueError(
                f"`length_min` {self.length_min} is above `length_max` {self.length_max}; expected "
                "a window of words"
            )
        return self

    @model_validator(mode="after")
    def _starts_are_of_terms_that_count(self) -> Self:
        """A term that only begins is a slip of the pen."""
        unknown = set(self.start_weights) - set(self.weights)
        if unknown:
            raise ValueError(
                f"`start_weights` has {', '.join(sorted(unknown))}, which `weights` lacks "
                f"({', '.join(self.weights)}); give it a weight there, 0 if it is to fade out"
            )
        return self


class EvaluationConfig(Stage):
    """How captions are drawn and scored for the table: greedy, one length limit."""

    max_tokens: int = Field(default=28, ge=2)
    batch_size: int = Field(default=256, ge=1)
    resamples: int = Field(default=1000, ge=1, description="of the bootstrap over images")
    confidence: float = Field(default=0.95, gt=0, lt=1)
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)


class CaptionsConfig(Stage):
    """Captioning of the gallery that search serves."""

    splits: list[str] = Field(
        default=["val", "test"], description="of the data set, in the gallery"
    )
    max_tokens: int = Field(default=28, ge=2)
    beams: int = Field(default=1, ge=1, description="followed at a time; 1: greedy")
    length_penalty: float = Field(
        default=0.0, description="of beams: above 0 favours long captions (GNMT), below 0 short"
    )
    no_repeat_ngram: int = Field(
        default=0, ge=0, description="tokens of an n-gram said once at most; 0: any may recur"
    )
    batch_size: int = Field(default=256, ge=1)
    threads: int = Field(default=2, ge=0)


class IndexConfig(Stage):
    """The caption index: what a build must show before it goes live."""

    min_recall: float = Field(default=0.95, ge=0, le=1, description="recall@10 against brute force")
    recall_queries: int = Field(default=50, ge=1)
    keep_builds: int = Field(default=3, ge=1, description="older ones are dropped")


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
    values = _read(name_or_file)
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


def _read(name_or_file: str) -> dict[str, Any]:
    """The profile's values as written, `extends` resolved."""
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
    base = values.pop("extends", None)
    return merged(_read(base), values) if base else values


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, nested mappings merged field by field."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result
