"""Greedy captions of cached features: at least 1.3x transformers' images/s on 1 thread, 1.6x on 2.

Both sides: a decoder of 6 layers, width 512, 8 heads, 9,488 words, random fp32 weights; 64 images
of 49 cells; 20 tokens, EOS impossible, so that nobody ends early. Theirs is transformers'
`VisionEncoderDecoderModel`, cached, in inference mode, with a GPT-2 and with a BERT decoder, each
with SDPA attention, which is their default, and with eager attention, which on a CPU is faster for
one query at a time. The ViT is not run: the cells are given as its output. Ours runs its projection
of the cells. Its weights are packed once, as when a data set is captioned (`packed_once`), before
the turns that count.

Ratios are against the faster decoder. Turns alternate and the best of each counts. On 2 threads
nothing else may run: threads that wait for one another spin.
"""

import time
from collections.abc import Callable

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # before transformers finds it

import torch
from transformers import (
    BertConfig,
    GPT2Config,
    PreTrainedConfig,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)
from transformers.modeling_outputs import BaseModelOutput

from finecap.data.tokenizer import BOS, EOS, PAD, SPECIALS, WordTokenizer
from finecap.models.decoding import decode
from finecap.models.linear import packed_once
from finecap.models.transformer import TransformerCaptioner, TransformerShape
from tests.benchmarks.measure import use_threads

IMAGES, CELLS, TOKENS, TURNS = 64, 49, 20, 7
LAYERS, WIDTH, HEADS, WORDS = 6, 512, 8, 9488
ATTENTIONS = ("sdpa", "eager")
SPECIAL_IDS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}

Caption = Callable[[torch.Tensor], torch.Tensor]


def run() -> dict[str, object]:
    """Images per second of CPU and of wall time, by side and threads, and the ratios."""
    torch.manual_seed(0)
    sides = {"ours": ours()} | {
        f"{name}, {attention}": theirs(decoder(), attention)
        for attention in ATTENTIONS
        for name, decoder in (("gpt2", gpt2), ("bert", bert))
    }
    grid = torch.randn(IMAGES, CELLS, WIDTH)
    figures: dict[str, object] = {}
    for threads in (1, 2):
        use_threads(threads)
        with packed_once():
            cpu, wall = seconds(sides, grid)
        unit = f"on {threads} thread" + "s" * (threads > 1)
        for name in sides:
            figures[f"{name}, images per CPU second {unit}"] = IMAGES / cpu[name]
            figures[f"{name}, images per wall second {unit}"] = IMAGES / wall[name]
        for attention in ATTENTIONS:
            for clock, taken in (("CPU", cpu), ("wall", wall)):
                best = min(taken[f"{name}, {attention}"] for name in ("gpt2", "bert"))
                figures[f"ratio to {attention} by {clock} seconds {unit}"] = best / taken["ours"]
    return figures


def seconds(
    sides: dict[str, Caption], grid: torch.Tensor
) -> tuple[dict[str, float], dict[str, float]]:
    """CPU and wall seconds of a batch by each side: the best of turns they take, one to warm up."""
    cpu, wall = (dict.fromkeys(sides, float("inf")) for _ in range(2))
    for turn in range(TURNS + 1):
        for name, caption in sides.items():
            before = time.process_time(), time.perf_counter()
            caption(grid)
            after = time.process_time(), time.perf_counter()
            if turn:
                cpu[name] = min(cpu[name], after[0] - before[0])
                wall[name] = min(wall[name], after[1] - before[1])
    return cpu, wall


def ours() -> Caption:
    """Our default captioner, grids as the encoder's cached features."""
    tokenizer = WordTokenizer([f"word{i}" for i in range(WORDS - len(SPECIALS))])
    shape = TransformerShape(WIDTH, WIDTH, HEADS, 0, LAYERS, 0.0, TOKENS)
    captioner = TransformerCaptioner(shape, tokenizer).eval()
    captioner.forbidden[EOS] = float("-inf")

    @torch.inference_mode()
    def caption(grid: torch.Tensor) -> torch.Tensor:
        return _whole(decode(captioner, captioner.memory(grid), TOKENS)[:, 0])

    return caption


def theirs(decoder: PreTrainedConfig, attention: str) -> Caption:
    """transformers' encoder-decoder with that decoder and attention."""
    encoder = ViTConfig(hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=HEADS)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = VisionEncoderDecoderModel(config).eval()
    model.set_attn_implementation({"encoder": attention, "decoder": attention})
    model.generation_config.update(decoder_start_token_id=BOS, pad_token_id=PAD, eos_token_id=None)

    @torch.inference_mode()
    def caption(grid: torch.Tensor) -> torch.Tensor:
        cells = BaseModelOutput(last_hidden_state=grid)
        tokens = model.generate(
            encoder_outputs=cells, max_new_tokens=TOKENS, do_sample=False, use_cache=True
        )
        return _whole(tokens[:, 1:])

    return caption


def gpt2() -> GPT2Config:
    """GPT-2 with cross-attention, of our size."""
    return GPT2Config(
        vocab_size=WORDS,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=TOKENS + 1,
        add_cross_attention=True,
        **SPECIAL_IDS,
    )


def bert() -> BertConfig:
    """BERT as a decoder with cross-attention, of our size."""
    return BertConfig(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=TOKENS + 1,
        is_decoder=True,
        add_cross_attention=True,
        **SPECIAL_IDS,
    )


def _whole(tokens: torch.Tensor) -> torch.Tensor:
    """The tokens, after a look that nobody stopped early."""
    if tokens.shape != (IMAGES, TOKENS):
        raise ValueError(f"captions of {tuple(tokens.shape)}, expected {(IMAGES, TOKENS)}")
    return tokens
