"""How each kind of transformers model sees an image and goes on with captions of it.

One adapter per kind: `VisionEncoderDecoderModel`, `BlipForConditionalGeneration` (both attend to
the image across) and `GitForCausalLM` (words follow the image in one sequence). An adapter computes
the image's keys and values once, with gradient where gradient is on, and gives the logits of words
that attend to them. What stays out: files (`huggingface_files`), words (`huggingface_tokenizer`),
how a decoder is told where words stand (`huggingface_positions`).

Why K captions of an image are one row of the decoder's batch: transformers wants as many images as
captions, so that K captions would copy the image's states K times and project each copy to keys and
values, in every layer and every pass. Here they lie one after another in one sequence, positions
and an attention mask of our own keep them apart, and nothing of an image is copied or computed
twice. Sampling, scoring and backward of 4 images of 197 patches with 5 captions, 6 + 6 layers of
width 384, on one core: GIT 8.2 -> 2.4 s, BLIP 2.7 -> 1.9 s, ViT-GPT2 3.0 -> 2.4 s, and with 16
words each and BART or TrOCR as decoder 3.4 -> 2.7 s. The price is attention between captions that
is computed and masked away, of which little comes: words are few and patches many.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
from transformers import (
    BlipForConditionalGeneration,
    DynamicCache,
    EncoderDecoderCache,
    GitForCausalLM,
    PreTrainedModel,
    VisionEncoderDecoderModel,
)

from finecap.models.huggingface_positions import Positions


@dataclass(frozen=True)
class ImageMemory:
    """Keys and values of B images for each decoder layer."""

    cache: DynamicCache  # per layer: (B, heads, P, W / heads), twice
    states: Tensor | None = None  # (B, P, W), what they were projected from, if attended to across

    def __len__(self) -> int:
        """B."""
        return len(self._keys)

    @property
    def prefix(self) -> int:
        """Image positions that come before the words in their own attention: P or none."""
        return self._keys.shape[2] if self.states is None else 0

    @property
    def _keys(self) -> Tensor:
        """Of the first layer."""
        return keys_values(self.cache)[0][0]


class ImageDecoder(ABC):
    """One kind of model: how it is asked for logits of words that follow an image.

    Attributes:
        model: the whole of it.
        decoder: the part that speaks.
        positions: of its words.
    """

    kind: ClassVar[type[PreTrainedModel]]

    def __init__(self, model: Any, decoder: Any) -> None:
        self.model, self.decoder = model, decoder
        self.positions = Positions(decoder)

    @property
    def room(self) -> int:
        """Positions it has, the most tokens a caption may have."""
        return self.positions.room

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self.decoder.get_input_embeddings().num_embeddings

    @abstractmethod
    def ends(self) -> tuple[int | None, int | None]:
        """The ids that start and end a caption, as the model's own `generate` has them."""

    @abstractmethod
    def memory(self, pixel_values: Tensor) -> ImageMemory:
        """Keys and values of images (B, 3, H, W)."""

    @abstractmethod
    def begin(self, memory: ImageMemory) -> Any:
        """A transformers cache that holds the images and no word."""

    @abstractmethod
    def words(self, cache: Any) -> DynamicCache:
        """The part of `cache` that words are appended to."""

    @abstractmethod
    def keep(self, memory: ImageMemory, cache: Any, images: Tensor) -> tuple[ImageMemory, Any]:
        """Memory and cache of the images (b,) alone; the memory given is left as it is."""

    def logits(
        self, input_ids: Tensor, positions: Tensor, sees: Tensor, memory: ImageMemory, cache: Any
    ) -> Tensor:
        """Logits (B, L, V) after each of L words; their keys and values are appended to `cache`.

        Args:
            input_ids: (B, L), words of several captions.
            positions: (L,), of each in its own caption, from 0.
            sees: (L, cached words + L) bool, which words each attends to; the image always.
            memory: of the images.
            cache: as `begin` gave it.
        """
        allowed = torch.cat([sees.new_ones(len(sees), memory.prefix), sees], 1)
        mask = torch.zeros(allowed.shape, device=sees.device, dtype=self.model.dtype)
        mask = mask.masked_fill(~allowed, float("-inf"))  # (L, all)
        with self.positions.told(positions) as arguments:
            output = self.decoder(
                input_ids=input_ids,
                attention_mask=mask.expand(len(input_ids), 1, -1, -1),  # TrOCR wants it of all B
                past_key_values=cache,
                use_cache=True,
                **arguments,
                **self._image_arguments(memory),
            )
        return output.logits

    def _image_arguments(self, memory: ImageMemory) -> dict[str, Any]:
        """What the decoder is given besides its cache."""
        del memory
        return {}


class _CrossAttending(ImageDecoder):
    """A decoder whose layers attend to the image across, next to their attention to words."""

    @abstractmethod
    def encode(self, pixel_values: Tensor) -> Tensor:
        """States (B, P, W) of images, as the decoder reads them."""

    def memory(self, pixel_values: Tensor) -> ImageMemory:
        """Keys and values of images: the decoder projects them when it reads a first word.

        That word is any; its own keys and values are dropped.
        """
        states = self.encode(pixel_values)
        projected = DynamicCache()
        word = torch.zeros(len(states), 1, dtype=torch.long, device=states.device)
        itself = word.new_ones(1, 1, dtype=torch.bool)
        memory = ImageMemory(projected, states)
        self.logits(word, word[0], itself, memory, self.begin(memory))
        return memory

    def begin(self, memory: ImageMemory) -> EncoderDecoderCache:
        """No words; the images' keys and values themselves, since no pass writes into them."""
        return EncoderDecoderCache(DynamicCache(), memory.cache)

    def words(self, cache: EncoderDecoderCache) -> DynamicCache:
        """The cache of self-attention."""
        return cast(DynamicCache, cache.self_attention_cache)

    def keep(
        self, memory: ImageMemory, cache: EncoderDecoderCache, images: Tensor
    ) -> tuple[ImageMemory, EncoderDecoderCache]:
        """Memory and cache of the images (b,) alone."""
        words, states = self.words(cache), cast(Tensor, memory.states)
        words.batch_select_indices(images)
        chosen = DynamicCache([(k[images], v[images]) for k, v in keys_values(memory.cache)])
        kept = ImageMemory(chosen, states[images])
        return kept, EncoderDecoderCache(words, chosen)

    def _image_arguments(self, memory: ImageMemory) -> dict[str, Any]:
        """The states tell the decoder that there is an image; it reads the cache."""
        return {"encoder_hidden_states": memory.states}


class EncoderDecoder(_CrossAttending):
    """Any vision encoder with any language decoder that can attend to it."""

    kind = VisionEncoderDecoderModel

    def __init__(self, model: Any) -> None:
        super().__init__(model, model.decoder)

    def ends(self) -> tuple[int | None, int | None]:
        """`decoder_start_token_id`, and the EOS."""
        generation = self.model.generation_config
        start = generation.decoder_start_token_id
        return generation.bos_token_id if start is None else start, generation.eos_token_id

    def encode(self, pixel_values: Tensor) -> Tensor:
        """The encoder's states, projected to the decoder's width where it has another."""
        states = self.model.encoder(pixel_values=pixel_values).last_hidden_state
        project = getattr(self.model, "enc_to_dec_proj", None)
        return states if project is None else project(states)


class Blip(_CrossAttending):
    """BLIP (Li et al. 2022)."""

    kind = BlipForConditionalGeneration

    def __init__(self, model: Any) -> None:
        super().__init__(model, model.text_decoder)

    def ends(self) -> tuple[int | None, int | None]:
        """[DEC] and [SEP]; what the configuration calls EOS is neither."""
        config = self.model.config.text_config
        return config.bos_token_id, config.sep_token_id

    def encode(self, pixel_values: Tensor) -> Tensor:
        """The vision model's states."""
        return self.model.vision_model(pixel_values=pixel_values).last_hidden_state


class Git(ImageDecoder):
    """GIT (Wang et al. 2022): image and words are one sequence, the image sees itself alone."""

    kind = GitForCausalLM

    def __init__(self, model: Any) -> None:
        super().__init__(model, model)

    def ends(self) -> tuple[int | None, int | None]:
        """[CLS] and [SEP]."""
        return self.model.generation_config.bos_token_id, self.model.generation_config.eos_token_id

    def memory(self, pixel_values: Tensor) -> ImageMemory:
        """Keys and values of images, which no word that follows can change."""
        no_words = torch.zeros(len(pixel_values), 0, dtype=torch.long, device=pixel_values.device)
        seen = self.model.git(input_ids=no_words, pixel_values=pixel_values, use_cache=True)
        return ImageMemory(seen.past_key_values)

    def begin(self, memory: ImageMemory) -> DynamicCache:
        """A cache of the same tensors; the words it appends make new ones."""
        cache = copy.copy(memory.cache)
        cache.layers = [copy.copy(layer) for layer in memory.cache.layers]
        return cache

    def words(self, cache: DynamicCache) -> DynamicCache:
        """The one cache there is."""
        return cache

    def keep(
        self, memory: ImageMemory, cache: DynamicCache, images: Tensor
    ) -> tuple[ImageMemory, DynamicCache]:
        """The cache holds the images too; of their memory only its length is read from now on."""
        cache.batch_select_indices(images)
        return memory, cache


def keys_values(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Of each layer of a cache that has been written: 2 x (B, heads, L, W / heads)."""
    return [(layer.keys, layer.values) for layer in cast(Any, cache.layers)]


def image_decoder(model: PreTrainedModel) -> ImageDecoder:
    """The adapter of a model's kind."""
    return next(adapter for adapter in DECODERS.values() if isinstance(model, adapter.kind))(model)


DECODERS: dict[str, type[Any]] = {
    "vision-encoder-decoder": EncoderDecoder,
    "git": Git,
    "blip": Blip,
}
"""By `model_type` of a transformers configuration."""
