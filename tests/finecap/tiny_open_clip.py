"""Architectures of open_clip and tokenizers of Hugging Face that a test can train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def word_tokenizer(folder: Path, specials: Sequence[str], template: str, pad: str) -> Path:
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
