"""Settings of features and of captioners, by maximum likelihood and by rewards."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from finecap.config.stage import Stage


class FeaturesConfig(Stage):
    """Frozen grid features and CLIP vectors of every image, written once, memory-mapped."""

    part: str = Field(
        default="captioner", description="train images kept; empty: all. val, test: always"
    )
    pixel_size: int = Field(
        default=0, ge=0, description="of pixels kept for captioners that read images; 0: none"
    )
    batch_size: int = Field(default=256, ge=1)
    shard_images: int = Field(
        default=4096, ge=1, description="written before they are safe from an end by force"
    )
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
    compile_decoding: bool = Field(
        default=False,
        description="captions are drawn by compiled steps: on a GPU as CUDA graphs; Transformers "
        "alone. The first step waits for the compiler, and so does each part of another size",
    )
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
