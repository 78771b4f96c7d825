"""Settings of contrastive encoders and of making them into rewards."""

from typing import Literal, Self

from pydantic import Field, model_validator

from finecap.config.stage import Stage


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
        description="local folder of the Hugging Face tokenizer that a SigLIP model reads, or of "
        "the tokenizer and `config.json` of a Hugging Face text tower; empty: the hub's",
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
    pixels: Literal["table", "stream"] = Field(
        default="table",
        description="of a tower that learns: kept resized on disk while it does, 150 kB an image "
        "at 224 px, or decoded from files or tars at each step",
    )
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


class JudgeGrammarConfig(Stage):
    """The grammar network that no reward ever sees: it judges captions."""

    width: int = Field(default=128, ge=8, description="of the recurrent tower")
    hidden: int = Field(default=256, ge=1, description="units of the head's hidden layer")
    max_captions: int = Field(
        default=20_000, ge=1, description="captions corrupted, in seeded order"
    )
    per_caption: int = Field(default=4, ge=1, description="corruptions drawn for each caption")
    grammar_steps: int = Field(default=400, ge=1)
    batch_size: int = Field(default=128, ge=2)
    head_lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    val_share: float = Field(default=0.05, gt=0, lt=1, description="of the captions, held out")
    threads: int = Field(default=1, ge=0)
    seed: int = Field(default=1, ge=0)
