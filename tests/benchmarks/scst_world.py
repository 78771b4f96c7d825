"""What the benchmarks of self-critical training train: a captioner and a reward of given sizes.

Weights are random and captions therefore noise of full length, which costs what sense would.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from finecap.config import ClipConfig, ScstConfig
from finecap.data.tokenizer import WordTokenizer
from finecap.log import silent
from finecap.losses import token_log_probs
from finecap.models.clip import ClipEncoder
from finecap.models.decoding import decode
from finecap.models.features import Features
from finecap.models.transformer import ImageMemory, TransformerCaptioner, TransformerShape
from finecap.rewards import Ingredients, Reward
from finecap.training.loop import Loop, Schedule, parameter_groups
from finecap.training.scst import ScstBatch, SelfCriticalStep, next_token_logits

TEXT_VOCABULARY = 49_408  # of CLIP ViT-B/32, as its text tower: 12 layers, width 512, 8 heads


@dataclass(frozen=True)
class Sizes:
    """Of one step."""

    cells: int
    batch: int
    layers: int
    width: int
    vocabulary: int
    samples: int = 5
    tokens: int = 20
    baseline: str = "greedy"
    bf16: bool = False
    compiled: bool = False  # drawing

    def but(self, **changes: object) -> "Sizes":
        """The same with some of them changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


FULL_49 = Sizes(cells=49, batch=10, layers=6, width=512, vocabulary=9488)
FULL_196 = Sizes(cells=196, batch=4, layers=6, width=512, vocabulary=9488)
SMALL_49 = Sizes(cells=49, batch=32, layers=2, width=256, vocabulary=2001)


class World:
    """One batch of images, a policy, a reward, and the loop that trains the one by the other."""

    def __init__(self, sizes: Sizes, device: torch.device | None = None) -> None:
        torch.manual_seed(0)
        self.sizes, self.generator = sizes, np.random.default_rng(0)
        self.device = device or torch.device("cpu")
        words = [f"w{i}" for i in range(sizes.vocabulary - 4)]
        self.policy = _policy(sizes, words).to(self.device)
        self.encoder = _encoder(words).to(self.device)
        grid = torch.randn(sizes.batch, sizes.cells, sizes.width)
        vectors = nn.functional.normalize(torch.randn(sizes.batch, 512), dim=-1)
        features = Features(pd.DataFrame(), grid.half().numpy(), vectors.numpy())
        self.grid = features.inputs_of(self.policy, np.arange(sizes.batch))
        config = ScstConfig(
            max_tokens=sizes.tokens,
            samples_per_image=sizes.samples,
            baseline=sizes.baseline,
            compile_decoding=sizes.compiled,
        )
        schedule = Schedule(1e-6, 1000, 5, cosine=False)
        self.loop = Loop(parameter_groups(self.policy, 0.0), schedule, silent, bf16=sizes.bf16)
        reward = Reward({"clip_s": 1.0}, Ingredients(self.encoder))
        critical = SelfCriticalStep(self.policy, None, reward, features, config)
        self.speaker, self.vectors = critical.speaker, features.vectors_of(np.arange(sizes.batch))
        self.objective = partial(critical.objective, weights=reward.weights)
        self.reward = reward

    def batch(self) -> ScstBatch:
        """The images, and new numbers for their samples."""
        B = self.sizes.batch
        shape = (B, self.sizes.samples, self.sizes.tokens)
        uniforms = torch.from_numpy(1 - self.generator.random(shape, dtype=np.float32))
        return ScstBatch(np.arange(B), [["a reference"]] * B, uniforms)

    def step(self) -> dict[str, float]:
        """One whole step."""
        return self.loop.step(self.objective, self.batch())

    def precision(self) -> torch.autocast:
        """As the loop runs its objective."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.sizes.bf16)

    def draw(self, memory: ImageMemory, uniforms: Tensor) -> Tensor:
        """Captions of the images as a step draws them, (B, [greedy +] K, T)."""
        greedy = self.sizes.baseline == "greedy"
        numbers = uniforms.to(self.device)
        with self.precision():
            return decode(self.speaker, memory, self.sizes.tokens, greedy=greedy, uniforms=numbers)

    def captions(self) -> Tensor:
        """Sampled captions of full length, (B, K, T)."""
        shape = (self.sizes.batch, self.sizes.samples, self.sizes.tokens)
        ids = self.generator.integers(4, self.sizes.vocabulary, shape)
        return torch.from_numpy(ids).to(self.device)

    def backward(self, captions: Tensor) -> None:
        """One teacher-forced pass over captions, forward and backward."""
        mask = torch.ones_like(captions, dtype=torch.bool)
        with self.precision():
            logits = next_token_logits(self.policy, self.policy.memory(self.grid), captions)
            loss = -token_log_probs(logits, captions, mask).mean()
        self.policy.zero_grad(set_to_none=True)
        loss.backward()

    def texts(self) -> list[str]:
        """As many distinct captions as a step rewards, the greedy ones among them."""
        rows = self.sizes.samples + (self.sizes.baseline == "greedy")
        shape = (self.sizes.batch * rows, self.sizes.tokens)
        ids = self.generator.integers(0, self.sizes.vocabulary - 4, shape)
        return [" ".join(f"w{i}" for i in row) for row in ids]


def _policy(sizes: Sizes, words: list[str]) -> TransformerCaptioner:
    heads = sizes.width // 64
    shape = TransformerShape(
        sizes.width, sizes.width, heads, sizes.layers, sizes.layers, 0.1, sizes.tokens
    )
    policy = TransformerCaptioner(shape, WordTokenizer(words))
    eos = policy.embedding.weight[policy.tokenizer.eos]
    with torch.no_grad():  # captions do not end before the limit
        policy.final_norm.bias.copy_(-3 * eos / eos.norm() ** 2)
    return policy


def _encoder(words: list[str]) -> ClipEncoder:
    config = ClipConfig(
        embed_dim=512, text_width=512, text_layers=12, text_heads=8, context_length=77,
        image_width=8, image_size=32,
    )  # fmt: skip
    own = ["a", "photo", "depicts", *words]
    others = [f"other{i}" for i in range(TEXT_VOCABULARY - 4 - len(own))]
    encoder = ClipEncoder(config, WordTokenizer([*own, *others])).eval()
    del encoder.model.visual  # images come as vectors
    return encoder
