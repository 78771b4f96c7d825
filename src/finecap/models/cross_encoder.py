"""Cross-encoders: image and text read in one stream, one score for the pair (UNITER's kind).

ViLT (Kim et al. 2021) and BLIP's image-text matching (Li et al. 2022), with transformers' own
networks. Slower than a dual encoder, since every pair is a pass, and sharper: words meet patches.
What an image alone costs is paid once per image: BLIP's whole image tower, ViLT's patches.

The score is the probability of a match that the model's head gives: softmax over BLIP's two logits,
sigmoid of ViLT's one, which was trained to rank captions and so is ordered, not calibrated.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    BlipForImageTextRetrieval,
    ViltForImageAndTextRetrieval,
)

from finecap.data.transforms import ImageSource, load_image
from finecap.models.folder import ModelFolderError, reason
from finecap.models.text_tokenizers import refuse_wordless

_EXAMPLES = "Salesforce/blip-itm-base-coco or dandelin/vilt-b32-finetuned-coco"


@dataclass(frozen=True)
class PreparedImages:
    """What a cross-encoder needs of B images, computed once for all their captions."""

    embeddings: list[Tensor]  # B x (P, W); P differs where images keep their shape

    def __len__(self) -> int:
        """B."""
        return len(self.embeddings)


class CrossEncoder(nn.Module):
    """Scores (image, text) pairs; made by `load_cross_encoder`.

    Args:
        model: the transformers model, in eval mode.
        image_processor: its own.
        tokenizer: its own.
        max_tokens: longest text, special tokens included.
    """

    def __init__(self, model: nn.Module, image_processor: Any, tokenizer: Any, max_tokens: int):
        super().__init__()
        self.model, self.image_processor, self.tokenizer = model, image_processor, tokenizer
        self.max_tokens = max_tokens

    @property
    def device(self) -> torch.device:
        """Where the model computes; scores come back to the CPU."""
        return next(self.parameters()).device

    @torch.no_grad()
    def prepare(self, images: Sequence[ImageSource], batch_size: int = 16) -> PreparedImages:
        """What there is to compute of B images without their captions.

        Args:
            images: files, bytes, Pillow images, or arrays; a uint8 array (B, H, W, 3) too.
            batch_size: images a pass.
        """
        embeddings: list[Tensor] = []
        for start in range(0, len(images), batch_size):
            chunk = [load_image(image) for image in images[start : start + batch_size]]
            inputs = self.image_processor(images=chunk, return_tensors="pt").to(self.device)
            embeddings += self._embed(inputs)
        return PreparedImages(embeddings)

    @torch.no_grad()
    def score(
        self, prepared: PreparedImages, captions: Sequence[Sequence[str]], batch_size: int = 64
    ) -> Tensor:
        """Probability of a match of each image's captions, (B, K), float in [0, 1].

        A caption that an image has twice is scored once.

        Args:
            prepared: B images.
            captions: (B, K).
            batch_size: pairs a pass.

        Raises:
            ValueError: not one list of captions for each image, or lists of different length.
        """
        lengths = {len(own) for own in captions}
        if len(captions) != len(prepared) or len(lengths) > 1:
            raise ValueError(
                f"{len(prepared)} images and {len(captions)} lists of "
                f"{sorted(lengths)} captions; expected K captions for each image"
            )
        pairs = [(row, text) for row, own in enumerate(captions) for text in own]
        distinct = sorted(set(pairs), key=lambda pair: (len(pair[1]), pair))  # alike in length
        scores: list[float] = []
        for start in range(0, len(distinct), batch_size):
            chunk = distinct[start : start + batch_size]
            seen = [prepared.embeddings[row] for row, _ in chunk]
            scores += self._match(seen, [text for _, text in chunk]).float().tolist()
        by_pair = dict(zip(distinct, scores, strict=True))
        K = max(lengths, default=0)
        return torch.tensor([by_pair[pair] for pair in pairs]).view(len(captions), K)

    def score_pairs(self, images: Sequence[ImageSource], texts: Sequence[str]) -> Tensor:
        """Probability of a match of image i with text i, (N,), float in [0, 1]."""
        return self.score(self.prepare(images), [[text] for text in texts]).flatten()

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask (N, T) of texts of any length."""
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.device)
        return tokens["input_ids"], tokens["attention_mask"]

    @abstractmethod
    def _embed(self, inputs: Any) -> list[Tensor]:
        """Embeddings (P, W) of each image of a processed batch."""

    @abstractmethod
    def _match(self, seen: list[Tensor], texts: list[str]) -> Tensor:
        """Scores (N,) of N pairs."""


class BlipCrossEncoder(CrossEncoder):
    """BLIP's text encoder, grounded in the image by cross-attention (Li et al. 2022, 3.1)."""

    def _embed(self, inputs: Any) -> list[Tensor]:
        vision_model = cast(Any, self.model).vision_model
        return list(vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state)

    def _match(self, seen: list[Tensor], texts: list[str]) -> Tensor:
        model = cast(Any, self.model)
        input_ids, attention_mask = self._tokens(texts)
        image_embeds = torch.stack(seen)  # (N, P, W)
        states = model.text_encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=image_embeds,
            encoder_attention_mask=torch.ones(image_embeds.shape[:-1], device=self.device),
        ).last_hidden_state  # (N, T, W)
        logits = model.itm_head(states[:, 0])  # (N, 2): no match, match
        return logits.softmax(-1)[:, 1]


class ViltCrossEncoder(CrossEncoder):
    """One Transformer over words and patches (Kim et al. 2021, figure 3)."""

    def _embed(self, inputs: Any) -> list[Tensor]:
        model = cast(Any, self.model).vilt
        longest = model.config.max_image_length
        # It draws an order of the patches, which attention is blind to: no one's randomness to use.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            embedded, mask, _ = model.embeddings.visual_embed(
                inputs["pixel_values"], inputs["pixel_mask"], max_image_length=longest
            )  # (B, P, W), (B, P)
        return [own[counts.bool()] for own, counts in zip(embedded, mask, strict=True)]

    def _match(self, seen: list[Tensor], texts: list[str]) -> Tensor:
        input_ids, attention_mask = self._tokens(texts)
        image_mask = pad_sequence([own.new_ones(len(own)) for own in seen], batch_first=True)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            image_embeds=pad_sequence(seen, batch_first=True),  # (N, P, W)
            pixel_mask=image_mask.long(),  # (N, P)
        )
        return output.logits.squeeze(-1).sigmoid()


_KINDS: dict[str, tuple[type[CrossEncoder], Any]] = {
    "blip": (BlipCrossEncoder, BlipForImageTextRetrieval),
    "vilt": (ViltCrossEncoder, ViltForImageAndTextRetrieval),
}


def load_cross_encoder(name_or_folder: str, *, download: bool = False) -> CrossEncoder:
    """The cross-encoder saved in a folder, or of that name on the Hugging Face hub, in eval mode.

    Args:
        name_or_folder: what `save_pretrained` wrote for model, tokenizer and image processor, or a
            name on the hub.
        download: whether the hub may be asked; its local cache always is.

    Raises:
        ModelFolderError: it is not there, not of a known kind, or lacks weights of the head.
    """
    options = {"local_files_only": not download}
    config = _read(AutoConfig, name_or_folder, **options)
    if config.model_type not in _KINDS:
        raise ModelFolderError(
            f"{name_or_folder} is a {config.model_type} model, expected one of {', '.join(_KINDS)} "
            f"with a head for image-text matching, such as {_EXAMPLES}"
        )
    kind, architecture = _KINDS[config.model_type]
    model, loaded = _read(architecture, name_or_folder, output_loading_info=True, **options)
    if loaded["missing_keys"]:
        raise ModelFolderError(
            f"{name_or_folder} lacks weights of {architecture.__name__} "
            f"({', '.join(sorted(loaded['missing_keys'])[:3])}); random ones are never used in "
            f"their place: take a copy of {_EXAMPLES}"
        )
    text = config.text_config if config.model_type == "blip" else config
    tokenizer = _read(AutoTokenizer, name_or_folder, **options)
    refuse_wordless(tokenizer, name_or_folder)
    if len(tokenizer) > text.vocab_size:
        raise ModelFolderError(
            f"{name_or_folder}: its tokenizer knows {len(tokenizer)} words, its model "
            f"{text.vocab_size}; they are not of one model"
        )
    image_processor = _read(AutoImageProcessor, name_or_folder, **options)
    return kind(model.eval(), image_processor, tokenizer, text.max_position_embeddings)


def _read(kind: Any, source: str, **options: Any) -> Any:
    """What `kind` makes of the files at `source`.

    Raises:
        ModelFolderError: they are missing, broken, or do not fit each other.
    """
    try:
        return kind.from_pretrained(source, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(
            f"cross-encoder {source}: {kind.__name__} cannot read it ({reason(error)}); give the "
            f"folder of a copy of {_EXAMPLES} (config, weights, tokenizer, image processor), or a "
            "name on the hub and `download=True`"
        ) from error
