"""The multi-modal encoder: an open_clip model, its tokenizer, and a grammar head where it has one.

Everything that scores, retrieves or conditions on images goes through `ClipEncoder`, be its towers
of our own shape or one of open_clip's architectures. Texts are encoded with the prompt the encoder
was trained with unless told otherwise.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from finecap.config import ClipConfig
from finecap.data.transforms import ImageSource, Resizing, load_image, to_pixels
from finecap.models import folder as model_folder
from finecap.models import text_scoring, towers
from finecap.models.architectures import Architecture
from finecap.models.grammar import GrammarHead, RecurrentTower
from finecap.models.text_tokenizers import TextTokenizer, cut, load_text_tokenizer

T = TypeVar("T")

PIXELS_AT_ONCE = 4 * 224 * 224
"""Of a pass without gradient on a CPU: its activations then stay in the processor's cache
(MobileNetV2 at 224 px, per image: 64 at once 34 ms, 4 at once 13 ms)."""


class ClipEncoder(nn.Module):
    """Images and texts to unit vectors of one space.

    Attributes:
        model: the open_clip model.
        architecture: open_clip's, or None where the tower fields of the config shape the model.
        head: the grammar head, or None.
        grammar_tower: the head's own recurrent tower where it does not share CLIP's, or None.
        is_random: whether its weights began as a stand-in that nobody trained.
    """

    def __init__(
        self,
        config: ClipConfig,
        tokenizer: TextTokenizer,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        self.config, self.tokenizer, self.architecture = config, tokenizer, architecture
        if architecture is None:
            self.model = towers.build_model(config, len(tokenizer))
            self.preprocessing = towers.preprocessing(config)
        else:
            self.model = architecture.build()
            self.preprocessing = architecture.preprocessing
        self.head: GrammarHead | None = None
        self.grammar_tower: RecurrentTower | None = None
        self.is_random = False

    @property
    def device(self) -> torch.device:
        """Where the encoder computes; what it is asked for in whole comes back to the CPU."""
        return next(self.parameters()).device

    @property
    def dim(self) -> int:
        """D, the length of a feature vector."""
        return self.config.embed_dim

    @property
    def prompt(self) -> str:
        """The words before every scored caption."""
        return self.config.prompt

    @property
    def resizing(self) -> Resizing:
        """How an image becomes the square that the image tower sees."""
        return self.preprocessing.resizing

    @property
    def logit_scale(self) -> Tensor:
        """The inverse temperature, at most 100 as in CLIP; SigLIP's knows no bound."""
        scale: Tensor = cast(Any, self.model).logit_scale.exp()
        return scale if self.logit_bias is not None else scale.clamp(max=100.0)

    @property
    def logit_bias(self) -> Tensor | None:
        """What SigLIP adds to every logit, (); None of a model trained by softmax."""
        return cast(Any, self.model).logit_bias

    def add_head(self, hidden: int, tower: str) -> None:
        """Give the encoder a grammar head on its text tower (`joint`) or on a GRU (`recurrent`)."""
        self.head = GrammarHead(self.config.text_width, hidden)
        if tower == "recurrent":
            V, eos = len(self.tokenizer), self.tokenizer.eos
            self.grammar_tower = RecurrentTower(V, self.config.text_width, eos)

    def pixel_values(self, pixels: np.ndarray) -> Tensor:
        """uint8 (B, H, W, 3) -> normalised float (B, 3, H, W)."""
        wanted, device = (self.preprocessing.mean, self.preprocessing.std), self.device
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in wanted)
        # A GPU is sent bytes, a quarter of what they become.
        return (torch.tensor(pixels, device=device).permute(0, 3, 1, 2).float() / 255 - mean) / std

    @property
    def images_at_once(self) -> int:
        """How many images a CPU takes fastest in a pass without gradient."""
        return max(1, PIXELS_AT_ONCE // self.config.image_size**2)

    @property
    def texts_at_once(self) -> int:
        """How many texts go in one pass without gradient: a GPU is idle with few."""
        return 64 if self.device.type == "cpu" else 1024

    def image_forward(self, pixel_values: Tensor) -> towers.ImageOutput:
        """Grid (B, P, C) and unit-length features (B, D) of one pass."""
        is_split = not torch.is_grad_enabled() and not pixel_values.is_cuda
        parts = pixel_values.split(self.images_at_once) if is_split else (pixel_values,)
        seen = [towers.image_forward(self.model, part) for part in parts]
        features = torch.cat([output.features for output in seen])
        return towers.ImageOutput(
            torch.cat([output.grid for output in seen]), F.normalize(features.float(), dim=-1)
        )

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, P, C)."""
        return self.image_forward(pixel_values).grid

    def preprocess(self, image: ImageSource) -> Tensor:
        """One image from a path, bytes, array or Pillow image: (3, H, W)."""
        pixels = to_pixels(load_image(image), self.config.image_size, self.resizing)
        return self.pixel_values(pixels[None])[0]

    @torch.no_grad()
    def encode_images(self, images: Sequence[ImageSource], batch_size: int = 256) -> Tensor:
        """Unit vectors (B, D) of images."""
        parts = [
            self.image_forward(torch.stack([self.preprocess(i) for i in chunk])).features
            for chunk in _chunks(images, batch_size)
        ]
        return torch.cat(parts).cpu() if parts else torch.empty(0, self.dim)

    def tokenize(self, texts: Sequence[str], *, prompt: bool = True) -> Tensor:
        """Token ids (N, T), T as long as the longest text needs, or all that the tower needs."""
        prefixed = [f"{self.prompt} {text}" if prompt else text for text in texts]
        ids = self.tokenizer.encode_batch(prefixed, self.config.context_length)
        tower = towers.text_tower(self.model)
        is_cut = towers.reads_to_eos(tower)
        tokens = cut(ids, self.tokenizer.eos) if is_cut else torch.from_numpy(ids)
        return towers.without_padding(tower, tokens).to(self.device)

    def text_features(self, tokens: Tensor) -> Tensor:
        """Unit vectors (N, D) of token ids (N, T), with gradient."""
        tower = towers.text_tower(self.model)
        pooled = towers.pooled_text(tower, tokens)
        return F.normalize(towers.project_text(tower, pooled).float(), dim=-1)

    def grammar_logits(self, tokens: Tensor) -> Tensor:
        """Logits (N,) of "grammatical" for token ids (N, T), with gradient."""
        if self.head is None:
            raise ValueError("this encoder has no grammar head; use one that clip_reward has tuned")
        if self.grammar_tower is not None:
            return self.head(self.grammar_tower(tokens)).float()
        return self.head(towers.pooled_text(towers.text_tower(self.model), tokens)).float()

    @torch.no_grad()
    def encode_texts(
        self, texts: Sequence[str], *, prompt: bool = True, batch_size: int | None = None
    ) -> Tensor:
        """Unit vectors (N, D) of texts, `batch_size` (None: what suits the device) at a time."""
        tower = towers.text_tower(self.model)

        def read(tokens: Tensor) -> Tensor:
            pooled = text_scoring.pooled_text(tower, tokens)
            return F.normalize(towers.project_text(tower, pooled).float(), dim=-1)

        return self._by_length(texts, read, prompt, batch_size, torch.empty(0, self.dim))

    def grammar_scores(self, texts: Sequence[str], *, batch_size: int | None = None) -> Tensor:
        """g(c) in [0, 1] of each text, (N,)."""
        return self.grammar_log_scores(texts, batch_size=batch_size).exp()

    @torch.no_grad()
    def grammar_log_scores(self, texts: Sequence[str], *, batch_size: int | None = None) -> Tensor:
        """Log g(c) <= 0 of each text, (N,): it tells apart what g rounds to 0."""

        def read(tokens: Tensor) -> Tensor:
            return F.logsigmoid(self.grammar_logits(tokens))

        return self._by_length(texts, read, True, batch_size, torch.empty(0))

    def _by_length(
        self,
        texts: Sequence[str],
        read: Callable[[Tensor], Tensor],
        prompt: bool,
        batch_size: int | None,
        nothing: Tensor,
    ) -> Tensor:
        """What `read` gives for each text's tokens; texts of like length go together, unpadded."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = [
            read(self.tokenize([texts[i] for i in chunk], prompt=prompt))
            for chunk in _chunks(order, batch_size or self.texts_at_once)
        ]
        if not parts:
            return nothing
        found = torch.cat(parts).cpu()
        return torch.empty_like(found).index_copy_(0, torch.tensor(order), found)

    @property
    def about_weights(self) -> dict[str, float]:
        """What a stage reports beside its metrics: that weights are random, or nothing."""
        return {"random_weights": 1.0} if self.is_random else {}

    def save(self, folder: Path) -> None:
        """Write config, vocabulary and weights into `folder`."""
        model_folder.write_weights(folder, self.state_dict())
        self.tokenizer.save(folder / model_folder.VOCABULARY)
        head = None if self.head is None else self.head.layers[0].out_features
        tower = "joint" if self.grammar_tower is None else "recurrent"
        architecture = None if self.architecture is None else self.architecture.model_dump()
        extra = {"head_hidden": head, "grammar_tower": tower, "architecture": architecture}
        extra |= {"weights": "random"} if self.is_random else {}
        model_folder.write_config(folder, {"clip": self.config.model_dump(), **extra})


def load_encoder(folder: Path) -> ClipEncoder:
    """The encoder saved in `folder`, in eval mode.

    Raises:
        ModelFolderError: the folder is missing, incomplete or foreign.
    """
    config = model_folder.read_config(folder, {"clip", "head_hidden", "grammar_tower"})
    tokenizer = load_text_tokenizer(folder / model_folder.VOCABULARY)
    described = config.get("architecture")
    try:
        settings = ClipConfig.model_validate(config["clip"])
        architecture = Architecture.model_validate(described) if described else None
    except ValidationError as error:
        raise model_folder.ModelFolderError(
            f"{folder}: written by another version of finecap ({error.errors()[0]['loc'][0]}: "
            f"{error.errors()[0]['msg']}); train it again"
        ) from error
    encoder = ClipEncoder(settings, tokenizer, architecture)
    if config["head_hidden"] is not None:
        encoder.add_head(config["head_hidden"], config["grammar_tower"])
    model_folder.read_weights(encoder, folder / model_folder.WEIGHTS)
    encoder.is_random = config.get("weights") == "random"
    return encoder.eval()


def _chunks(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Consecutive runs of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))
