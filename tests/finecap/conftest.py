"""A tiny drawn world with models trained on it for seconds, made once for all tests."""

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import finecap.models.torchvision_shim  # noqa: F401  # before a test imports what needs it

WORDS = ("a", "red", "green", "boat", "cat", "on", "the", "sea", "##s", "dog", "'", "small")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Data folder, records, encoder, features and captioner; `new` gives an empty folder.

    `features_with` gives the features with pixels of a size beside them.
    """
    from finecap.config import ClipConfig, DataConfig, FeaturesConfig, MleConfig
    from finecap.data.records import read_records
    from finecap.data.scenes import draw_world
    from finecap.data.transforms import pixel_table
    from finecap.log import silent
    from finecap.models.features import PIXELS, extract, open_features
    from finecap.training.clip import train_clip
    from finecap.training.mle import train_mle

    def new() -> Path:
        return tmp_path_factory.mktemp("stage")

    world = DataConfig(
        clip_images=64, judge_images=16, captioner_images=48, val_images=24, test_images=24
    )
    clip = ClipConfig(
        embed_dim=16,
        image_size=32,
        image_width=8,
        text_width=32,
        text_layers=1,
        text_heads=2,
        word_epochs=2,
        word_batch_size=32,
        epochs=8,
        batch_size=16,
        lr=2e-3,
    )
    short = {"word_epochs": 1, "epochs": 1}
    mle = MleConfig(width=32, heads=2, decoder_layers=1, epochs=20, batch_size=16, lr=5e-3)
    folder = new() / "data"
    draw_world(folder, world, silent, processes=1)
    records = read_records(folder / "captions.jsonl")
    encoder, features, captioner = new(), new(), new()
    clip_metrics = train_clip(folder, records, clip, encoder, silent)
    extract(folder, records, encoder, FeaturesConfig(), features, silent)
    metrics = train_mle(features, records, mle, captioner, silent)

    @cache
    def features_with(pixel_size: int) -> Path:
        with_pixels, seen = new(), open_features(features)
        for file in features.iterdir():
            shutil.copy(file, with_pixels)
        kept = [r for image in seen.rows["image"] for r in records if r.image == image]
        if pixel_size:
            pixel_table(folder, kept, pixel_size, with_pixels / PIXELS, silent)
        return with_pixels

    return SimpleNamespace(
        folder=folder,
        records=records,
        clip_config=clip.model_copy(update=short),
        mle_config=mle,
        clip_metrics=clip_metrics,
        encoder=encoder,
        features=features,
        features_with=features_with,
        mle=captioner,
        mle_metrics=metrics,
        new=new,
    )


TINY_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
TINY_VISION = {"image_size": 32, "patch_size": 8, "head_width": 8}
TINY_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tiny-vit": {
        "embed_dim": 12,
        "vision_cfg": {**TINY_VISION, "layers": 2, "width": 32},
        "text_cfg": TINY_TEXT,
    },
    "tiny-rn": {
        "embed_dim": 12,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
        "text_cfg": TINY_TEXT,
    },
    # As MobileCLIP2: byte pairs and EOS, yet every token sees every other.
    "tiny-both-ways": {
        "embed_dim": 12,
        "custom_text": True,
        "vision_cfg": {**TINY_VISION, "layers": 1, "width": 16},
        "text_cfg": {**TINY_TEXT, "no_causal_mask": True},
    },
    "tiny-coca": {
        "embed_dim": 12,
        "custom_text": True,
        "vision_cfg": {
            **TINY_VISION,
            "layers": 2,
            "width": 32,
            "attentional_pool": True,
            "attn_pooler_heads": 2,
            "output_tokens": True,
        },
        "text_cfg": {**TINY_TEXT, "context_length": 20, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**TINY_TEXT, "context_length": 20, "layers": 1},
    },
    "tiny-siglip": {
        "embed_dim": 96,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_vit3",
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 24,
            "hf_tokenizer_name": "nobody/tiny-siglip",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 16,
            "heads": 2,
            "layers": 2,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
        },
    },
}


_BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_BERT |= {"intermediate_size": 16, "max_position_embeddings": 24}
_M2M = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}
_M2M |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16}
_MT5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2}
_MLP, _LINEAR = {"hf_pooler_type": "mean_pooler"}, {"hf_proj_type": "linear"}
_CLS = {"hf_pooler_type": "cls_pooler"}
TINY_TEXT_TOWERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tiny-roberta": ({"model_type": "roberta", **_BERT}, _MLP),
    "tiny-bert": ({"model_type": "bert", **_BERT}, _CLS),
    "tiny-m2m": ({"model_type": "m2m_100", **_M2M, "max_position_embeddings": 24}, _CLS | _LINEAR),
    "tiny-mt5": ({"model_type": "mt5", **_MT5}, _MLP),
}
"""Of Hugging Face: transformers' config of a text model, and how open_clip pools and projects."""


def _word_tokenizer(folder: Path, specials: Sequence[str], template: str, pad: str) -> Path:
    """Write a Hugging Face tokenizer of a few words, the specials' ids first."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = (*specials, "a", "photo", "depicts", "red", "boat", "on", "the", "sea", "blue")
    ids = {word: number for number, word in enumerate(words)}
    fast = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))  # noqa: S106 - no password
    fast.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    fast.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=template, special_tokens=[(s, ids[s]) for s in specials if s in template]
    )
    named = {"eos_token": "</s>", "pad_token": pad, "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=fast, **named).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def hub_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tokenizer such as SigLIP's: `</s>` ends a text and fills the context."""
    folder = tmp_path_factory.mktemp("tokenizer")
    return _word_tokenizer(folder, ("<unk>", "</s>"), "$A </s>", pad="</s>")


@pytest.fixture(scope="session")
def text_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of text models as their hub's are, weights left out: config and tokenizer."""
    folders: dict[str, Path] = {}
    ends = {"vocab_size": 24, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    for name, (config, _) in TINY_TEXT_TOWERS.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        _word_tokenizer(folder, ("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", pad="<pad>")
        (folder / "config.json").write_text(json.dumps({**config, **ends}))
    return folders


@pytest.fixture(scope="session")
def open_clip_models(
    tmp_path_factory: pytest.TempPathFactory, hub_tokenizer: Path, text_models: dict[str, Path]
) -> dict[str, SimpleNamespace]:
    """Tiny architectures in open_clip's registry: its own model, and that model's checkpoint."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("architectures")
    architectures = dict(TINY_ARCHITECTURES)
    for name, (_, reading) in TINY_TEXT_TOWERS.items():
        source = {f"hf_{part}_name": str(text_models[name]) for part in ("model", "tokenizer")}
        text = {"context_length": 16, **source, **reading}
        architectures[name] = {**TINY_ARCHITECTURES["tiny-vit"], "text_cfg": text}
    for name, config in architectures.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    made: dict[str, SimpleNamespace] = {}
    for name in architectures:
        torch.manual_seed(0)
        reference = open_clip.create_model(name, pretrained_text=False).eval()
        with torch.no_grad():
            for parameter in reference.parameters():  # some start at zero, and would hide a slip
                parameter.add_(0.02 * torch.randn_like(parameter))
        checkpoint = folder / name / "weights.safetensors"
        checkpoint.parent.mkdir()
        save_file(reference.state_dict(), checkpoint)
        fields = {"architecture": name, "pretrained": str(checkpoint), "epochs": 0}
        tokenizer = {"tokenizer": str(hub_tokenizer)} if "siglip" in name else {}
        made[name] = SimpleNamespace(
            reference=reference, checkpoint=checkpoint, fields={**fields, **tokenizer}
        )
    return made


TOWER = {"image_encoder": "timm", "timm_model": "test_resnet", "image_size": 48}
FAMILIES: dict[str, dict[str, Any]] = {
    "transformer": {},
    "lstm": {"family": "lstm"},
    "bicaptioning": {"bicaptioning": True, "encoder_layers": 0},
    "frozen_resnet": {**TOWER, "timm_checkpoint": "test_resnet"},
    "resnet_from_scratch": {
        **TOWER,
        "image_trainable": True,
        "image_lr_scale": 1.0,
        "bicaptioning": True,
        "encoder_layers": 0,
    },
    "vit": {
        **TOWER,
        "timm_model": "test_vit",
        "timm_checkpoint": "test_vit",
        "image_trainable": True,
        "family": "lstm",
    },
    "clip": {"image_encoder": "clip", "image_trainable": True},
}


@pytest.fixture(scope="session")
def timm_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A timm model's state dict as timm publishes it, classifier included, weights random."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("checkpoints")

    def checkpoint(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            torch.manual_seed(0)
            save_file(timm.create_model(name, pretrained=False).state_dict(), path)
        return path

    return checkpoint


@pytest.fixture(scope="session", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, tiny: SimpleNamespace, timm_checkpoint: Callable[[str], Path]
) -> SimpleNamespace:
    """One family of captioners: its name, settings, and the features it reads in the tiny world."""
    from finecap.config import MleConfig

    changes = dict(FAMILIES[request.param])
    if "timm_checkpoint" in changes:
        changes["timm_checkpoint"] = str(timm_checkpoint(changes["timm_checkpoint"]))
    config = MleConfig.model_validate({**tiny.mle_config.model_dump(), **changes})
    size = {"cached": 0, "timm": 48, "clip": 32}[config.image_encoder]
    return SimpleNamespace(name=request.param, config=config, features=tiny.features_with(size))


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Path], bytes]:
    """The bytes of a model folder's weights."""
    return lambda folder: (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders of tiny random models, as transformers' `save_pretrained` leaves them.

    Of a kind: `git`, `blip`, or a ViT with a decoder that is `bert`, `roberta`, `gpt2`, `bart`,
    `mbart` or `trocr`. Each has a vocabulary of words, but GPT-2 one of bytes and a single special,
    its start, end and padding; BART and TrOCR start with their end.
    """
    folders: dict[object, Path] = {}

    def folder_of(kind: str, words: Sequence[str] = WORDS, spread: float = 0.6) -> Path:
        key = (kind, *words, spread)
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(kind)
            _write_pretrained(folders[key], kind, words, spread)
        return folders[key]

    return folder_of


def _write_pretrained(folder: Path, kind: str, words: Sequence[str], spread: float) -> None:
    """A model of 16 px images, weights of standard deviation `spread`."""
    import torch

    from finecap.models.huggingface_files import quiet  # before torchvision is imported

    tokenizer, processor = _tokenizer(kind, words), _image_processor(kind)
    torch.manual_seed(0)
    model = _model(kind, len(tokenizer))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=spread)
    with quiet():
        for part in (model, tokenizer, processor):
            part.save_pretrained(folder)


def _image_processor(kind: str) -> Any:
    """GIT's is CLIP's, which cuts the centre out."""
    import transformers as hf

    if kind == "git":
        return hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    return hf.ViTImageProcessor(size={"height": 16, "width": 16})


def _tokenizer(kind: str, words: Sequence[str]) -> Any:
    """WordPiece as BERT's, or bytes as GPT-2's."""
    import tokenizers as tk
    import transformers as hf

    if kind == "gpt2":
        alphabet = sorted(tk.pre_tokenizers.ByteLevel.alphabet())
        one = "<|endoftext|>"
        vocabulary = {token: i for i, token in enumerate([one, *alphabet])}
        plain = tk.Tokenizer(tk.models.BPE(vocabulary, []))
        plain.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
        plain.decoder = tk.decoders.ByteLevel()
        names = {"bos_token": one, "eos_token": one, "unk_token": one}
        return hf.PreTrainedTokenizerFast(tokenizer_object=plain, **names)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: i for i, token in enumerate([*specials, *words])}
    plain = tk.Tokenizer(tk.models.WordPiece(vocabulary, unk_token=specials[1]))
    plain.normalizer = tk.normalizers.BertNormalizer()
    plain.pre_tokenizer = tk.pre_tokenizers.BertPreTokenizer()
    plain.decoder = tk.decoders.WordPiece()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    specials_by_name = dict(zip(names, specials, strict=True))
    return hf.PreTrainedTokenizerFast(tokenizer_object=plain, **specials_by_name)


def _model(kind: str, n_words: int) -> Any:
    """The model of a kind, for a tokenizer of that many ids."""
    import transformers as hf

    sizes = {"num_attention_heads": 2, "intermediate_size": 32}
    image = sizes | {"hidden_size": 16, "num_hidden_layers": 1, "image_size": 16, "patch_size": 8}
    text = sizes | {"hidden_size": 24, "num_hidden_layers": 2, "max_position_embeddings": 40}
    text |= {"vocab_size": n_words, "tie_word_embeddings": kind in {"roberta", "blip"}}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    if kind == "git":
        return hf.GitForCausalLM(hf.GitConfig(vision_config=image, **text, **ends))
    if kind == "blip":  # it starts with an id that its tokenizer has not, and ends with SEP
        own = {"vocab_size": n_words + 1, "bos_token_id": n_words, "sep_token_id": 3}
        own |= {"eos_token_id": 2, "pad_token_id": 0, "encoder_hidden_size": 16}
        return hf.BlipForConditionalGeneration(
            hf.BlipConfig(vision_config=image, text_config=text | own, tie_word_embeddings=True)
        )
    start, end = {"gpt2": (0, 0), "bart": (3, 3), "trocr": (3, 3)}.get(kind, (2, 3))
    ends = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": 0}
    decoder = _decoder_config(kind, text | ends)
    encoder = hf.ViTConfig(**image)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = start, end, 0
    return hf.VisionEncoderDecoderModel(config)


def _decoder_config(kind: str, settings: dict[str, Any]) -> Any:
    """The config of a decoder that attends to images; BART's kind has names of its own."""
    import transformers as hf

    kinds = {"bert": hf.BertConfig, "roberta": hf.RobertaConfig, "gpt2": hf.GPT2Config}
    if kind in kinds:
        return kinds[kind](**settings, is_decoder=True, add_cross_attention=True)
    kinds = {"bart": hf.BartConfig, "mbart": hf.MBartConfig, "trocr": hf.TrOCRConfig}
    named = {"d_model": 24, "decoder_layers": 2, "decoder_ffn_dim": 32}
    named |= {"decoder_attention_heads": 2, "scale_embedding": kind == "mbart"}
    if kind == "trocr":  # it projects the image's states itself
        named |= {"cross_attention_hidden_size": 16}
    else:
        # Else transformers' `generate` would say it last, whatever the model gives.
        named |= {"forced_eos_token_id": None}
    shared = ("vocab_size", "max_position_embeddings", "tie_word_embeddings")
    ends = {name: value for name, value in settings.items() if name in shared or "token_id" in name}
    return kinds[kind](**named, **ends, is_decoder=True, add_cross_attention=True)
