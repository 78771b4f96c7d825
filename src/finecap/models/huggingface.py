"""Captioners of transformers' making: a pretrained image-to-text model as policy and as start.

ViT-GPT2 and its like (`VisionEncoderDecoderModel`), GIT and BLIP, from a local folder or a name on
the hub; each reads pixels, and each is trained whole by any objective that trains our own. A saved
one is a folder that both `load_captioner` and transformers read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from finecap.models.captioner import Captioner
from finecap.models.folder import ModelFolderError, read_config, write_config
from finecap.models.huggingface_decoders import (
    ImageDecoder,
    ImageMemory,
    image_decoder,
    keys_values,
)
from finecap.models.huggingface_files import PretrainedFiles, read_files
from finecap.models.huggingface_tokenizer import PretrainedTokenizer

FAMILY = "huggingface"


@dataclass
class DecodingState:
    """What a cached decode carries from token to token.

    Words of all rows of an image lie in one sequence, the rows' first words first.
    """

    decoder: ImageDecoder
    memory: ImageMemory
    cache: Any  # of transformers
    rows: int
    length: int = 0  # words of each row
    is_static: ClassVar[bool] = False

    def reorder(self, parents: Tensor) -> None:
        """Row r of each image goes on from what its row `parents[b, r]` was; (B, rows)."""
        if not self.length:
            return  # all rows are alike
        for layer in keys_values(self.decoder.words(self.cache)):
            for words in layer:
                own = words[:, :, self.memory.prefix :].unflatten(2, (self.length, self.rows))
                at = parents[:, None, None, :, None].expand_as(own)
                own.copy_(own.gather(3, at))  # (B, heads, T, rows, W / heads)

    def keep(self, images: Tensor) -> None:
        """Go on with these images alone, given by their places (b,) among those so far."""
        self.memory, self.cache = self.decoder.keep(self.memory, self.cache, images)


class HuggingFaceCaptioner(Captioner):
    """Images to words, by a model of transformers.

    Attributes:
        files: what was read: the model, its own tokenizer and image processor.
        max_tokens: T of the captions it was tuned for; it has positions for `decoder.room`.
    """

    def __init__(self, files: PretrainedFiles, max_tokens: int) -> None:
        """Make a captioner of a model that was read.

        Raises:
            ModelFolderError: its tokenizer, image processor or conventions do not fit it.
            ValueError: it has fewer positions than `max_tokens`.
        """
        super().__init__()
        self.files, self.model = files, files.model
        self.decoder = image_decoder(files.model)
        tokenizer = _tokenizer(files, self.decoder)
        self.tokenizer, self.image_size = tokenizer, _side(files)
        self.max_tokens = max_tokens
        self._check_room(max_tokens)
        forbidden = torch.zeros(len(tokenizer))
        forbidden[sorted(tokenizer.unspoken)] = float("-inf")
        factor, mean, std = _normalisation(files.image_processor)
        self.register_buffer("forbidden", forbidden, persistent=False)
        self.register_buffer("scale", (factor / std)[:, None, None], persistent=False)
        self.register_buffer("shift", (mean / std)[:, None, None], persistent=False)

    def pixel_values(self, pixels: np.ndarray) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, 3, H, W), as the model's own image processor scales them."""
        channels = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)  # -> (B, 3, H, W)
        return channels * cast(Tensor, self.scale) - cast(Tensor, self.shift)

    def memory(self, inputs: Tensor) -> ImageMemory:
        """Keys and values of pixel values (B, 3, H, W) for each decoder layer."""
        side = self.image_size
        if inputs.shape[1:] != (3, side, side):
            expected = f"(B, 3, {side}, {side})"
            raise ValueError(f"pixel values: expected {expected}, came {tuple(inputs.shape)}")
        return self.decoder.memory(inputs)

    def begin(self, memory: ImageMemory, rows: int) -> DecodingState:
        """State of a cached decode of `rows` captions per image."""
        return DecodingState(self.decoder, memory, self.decoder.begin(memory), rows)

    def step(self, previous: Tensor, state: DecodingState) -> Tensor:
        """Logits (B, rows, V) after `previous` (B, rows)."""
        t = state.length
        self._check_room(t + 1)
        positions = torch.full((state.rows,), t, device=previous.device)
        own = torch.eye(state.rows, dtype=torch.bool, device=previous.device)
        sees = own.repeat(1, t + 1)  # (rows, (t + 1) * rows): the words of each row itself
        logits = self.decoder.logits(previous, positions, sees, state.memory, state.cache)
        state.length = t + 1
        return logits.add_(cast(Tensor, self.forbidden))

    def teacher_forced(self, memory: ImageMemory, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each token of `input_ids` (B, K, T)."""
        B, K, T = input_ids.shape
        self._check_room(T)
        positions = torch.arange(T, device=input_ids.device).repeat(K)
        own = torch.eye(K, dtype=torch.bool, device=input_ids.device)[:, None, :, None]
        before = torch.ones(T, T, dtype=torch.bool, device=input_ids.device).tril()[None, :, None]
        sees = (own & before).view(K * T, K * T)
        cache = self.decoder.begin(memory)
        logits = self.decoder.logits(input_ids.flatten(1, 2), positions, sees, memory, cache)
        return logits.add_(cast(Tensor, self.forbidden)).view(B, K, T, -1)

    def save(self, folder: Path) -> None:
        """Write the model into `folder` as transformers does, what is ours added to its config."""
        self.files.save(folder)
        own = {"family": FAMILY, "max_tokens": self.max_tokens}
        write_config(folder, {**read_config(folder, set()), **own})

    @classmethod
    def from_pretrained(cls, pretrained: str, max_tokens: int) -> "HuggingFaceCaptioner":
        """The model in the local folder `pretrained`, or of that name on the hub, in eval mode.

        Args:
            pretrained: folder or name.
            max_tokens: T of the longest caption it is to say, words and EOS.

        Raises:
            ModelFolderError: it is missing, incomplete, broken or of another kind.
            ValueError: it has fewer positions than `max_tokens`.
        """
        return cls(read_files(pretrained), max_tokens).eval()

    @classmethod
    def load(cls, folder: Path) -> "HuggingFaceCaptioner":
        """The captioner saved in `folder`, in eval mode."""
        config = read_config(folder, expected={"family", "max_tokens"})
        return cls.from_pretrained(str(folder), config["max_tokens"])

    def _check_room(self, tokens: int) -> None:
        """Refuse captions longer than the model has positions for."""
        if tokens > self.decoder.room:
            raise ValueError(
                f"a caption of {tokens} tokens was asked of a model with positions for "
                f"{self.decoder.room}; lower `max_tokens`"
            )


def _tokenizer(files: PretrainedFiles, decoder: ImageDecoder) -> PretrainedTokenizer:
    """The model's tokenizer, with the ids that start and end its captions."""
    bos, eos = decoder.ends()
    if not isinstance(bos, int) or not isinstance(eos, int):
        raise ModelFolderError(
            f"{files.source}: captions start with the id {bos} and end with {eos}, expected one "
            "each; set `decoder_start_token_id` or `bos_token_id`, and `eos_token_id`, in its "
            "generation_config.json (BLIP: `bos_token_id` and `sep_token_id` of `text_config`)"
        )
    try:
        return PretrainedTokenizer(files.tokenizer, bos, eos, decoder.vocabulary_size)
    except ValueError as error:
        raise ModelFolderError(f"{files.source}: {error}") from error


def _side(files: PretrainedFiles) -> int:
    """Pixels of the square images that the model reads."""
    processor = files.image_processor
    size = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    sides = {size[name] for name in ("height", "width", "shortest_edge") if size.get(name)}
    # BLIP would read a smaller image with the positions of a large one's upper rows.
    vision = getattr(files.model.config, "vision_config", None)
    if len(sides) != 1 or (vision is not None and vision.image_size not in sides):
        read = "squares" if vision is None else f"squares of {vision.image_size} px"
        raise ModelFolderError(
            f"{files.source}: its image processor makes images of {dict(size)}, expected {read}"
        )
    return int(sides.pop())


def _normalisation(processor: Any) -> tuple[float, Tensor, Tensor]:
    """Factor, mean (3,) and standard deviation (3,) of an image processor."""
    factor = processor.rescale_factor if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return factor, torch.zeros(3), torch.ones(3)
    return factor, torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
