"""Building towers of our own shape, and reading what open_clip keeps to itself.

open_clip gives pooled features; the captioner needs the grid before pooling, and the grammar head
the text feature before projection. Both are read here, for each kind of tower, from open_clip's own
modules: no layer is written again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

import finecap.models.torchvision_shim  # noqa: F401 isort: skip  # pyright: ignore[reportUnusedImport]
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CustomTextCLIP
from open_clip.modified_resnet import Bottleneck
from open_clip.transformer import text_global_pool
from safetensors import SafetensorError
from safetensors.torch import load_file

from finecap.config import ClipConfig
from finecap.data.tokenizer import EOS, PAD
from finecap.models.architectures import Preprocessing
from finecap.models.folder import ModelFolderError

CLIP = Preprocessing()
IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def build_model(config: ClipConfig, vocabulary_size: int) -> nn.Module:
    """An open_clip model of the configured architecture; weights are random until loaded.

    Args:
        config: the tower fields shape it.
        vocabulary_size: V of the text tower.
    """
    text = {
        "context_length": config.context_length,
        "vocab_size": vocabulary_size,
        "width": config.text_width,
        "heads": config.text_heads,
        "layers": config.text_layers,
        "pad_id": PAD,
        "eos_id": EOS,
        "pool_type": "eos",
    }
    model = CustomTextCLIP(config.embed_dim, _vision(config), cast(Any, text))
    if config.image_tower == "resnet":
        _open_residual_branches(cast(Any, model).visual)
    return model


def _open_residual_branches(visual: nn.Module) -> None:
    """Start residual branches at full strength.

    open_clip starts them at zero, which deep networks need; with a block or two a stage it only
    delays learning (drawn world, 4 epochs of words: 47 % of the images' objects named, then 59 %).
    """
    for module in visual.modules():
        if isinstance(module, Bottleneck):
            nn.init.ones_(module.bn3.weight)


def _vision(config: ClipConfig) -> Any:
    """The `vision_cfg` of the configured image tower."""
    if config.image_tower == "timm":
        return {
            "timm_model_name": config.timm_model,
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "mlp",
            "image_size": config.image_size,
        }
    if config.image_tower == "vit":
        return {
            "image_size": config.image_size,
            "patch_size": config.patch_size,
            "width": config.image_width,
            "layers": config.image_layers,
            "head_width": min(64, config.image_width),
        }
    return {
        "image_size": config.image_size,
        "width": config.image_width,
        "layers": [config.image_layers] * 4,
        "head_width": 64,
    }


def load_trunk(model: nn.Module, checkpoint: Path) -> None:
    """Load a timm state dict into the model's image trunk; see `load_timm`."""
    load_timm(cast(Any, model).visual.trunk, checkpoint)


def load_timm(trunk: nn.Module, checkpoint: Path) -> None:
    """Load a timm state dict into a timm model without classifier; the file's is left out.

    Raises:
        ModelFolderError: the file is missing or foreign, or its names do not fit the trunk.
    """
    if not checkpoint.is_file():
        raise ModelFolderError(
            f"image tower checkpoint {checkpoint} does not exist; set `timm_checkpoint` to a "
            "safetensors file of the model (random weights are never used in its place)"
        )
    named = cast(Any, trunk).pretrained_cfg["classifier"] or ()  # `fc`, `head`; of DeiT two
    classifier = tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))
    try:
        tensors = load_file(checkpoint)
        trunk.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(classifier)})
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(
            f"checkpoint {checkpoint} is no safetensors file: {error}"
        ) from error
    except RuntimeError as error:
        raise ModelFolderError(
            f"checkpoint {checkpoint} does not fit the trunk: {error}"
        ) from error


def preprocessing(config: ClipConfig) -> Preprocessing:
    """How an image tower of our own shape wants its pixels."""
    return IMAGENET if config.image_tower == "timm" else CLIP


@dataclass(frozen=True)
class ImageOutput:
    """One pass through an image tower."""

    grid: Tensor  # (B, P, C)
    features: Tensor  # (B, D), not normalised


def image_forward(model: nn.Module, pixel_values: Tensor) -> ImageOutput:
    """Grid cells and pooled features of (B, 3, H, W) in one pass.

    The grid is the last stage of a CNN before pooling, or the patch tokens of a ViT.
    """
    visual = cast(Any, model).visual
    if hasattr(visual, "attnpool"):
        x = _stages(visual, pixel_values)
        return ImageOutput(_cells(x), visual.attnpool(x))
    if hasattr(visual, "trunk"):
        x = visual.trunk.forward_features(pixel_values)
        pooled = visual.trunk.forward_head(x)
        return ImageOutput(_trunk_cells(visual.trunk, x), visual.head(pooled))
    output = visual.forward_intermediates(pixel_values, indices=1, output_fmt="NLC")
    return ImageOutput(output["image_intermediates"][-1], output["image_features"])


def grid_forward(model: nn.Module, pixel_values: Tensor) -> Tensor:
    """The grid (B, P, C) of `image_forward` alone: nothing after it is computed."""
    visual = cast(Any, model).visual
    if hasattr(visual, "attnpool"):
        return _cells(_stages(visual, pixel_values))
    if hasattr(visual, "trunk"):
        return _trunk_cells(visual.trunk, visual.trunk.forward_features(pixel_values))
    output = visual.forward_intermediates(
        pixel_values, indices=1, intermediates_only=True, output_fmt="NLC"
    )
    return output["image_intermediates"][-1]


@torch.no_grad()
def grid_channels(model: nn.Module, image_size: int) -> int:
    """C, the channels of a grid cell."""
    was_training = model.training
    blank = torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device)
    grid = grid_forward(model.eval(), blank)
    model.train(was_training)
    return grid.shape[-1]


def _stages(visual: Any, pixel_values: Tensor) -> Tensor:
    """All stages of CLIP's own ResNet, (B, 3, H, W) -> (B, C, h, w)."""
    x = visual.layer3(visual.layer2(visual.layer1(visual.stem(pixel_values))))
    return visual.layer4(x)


def _cells(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, P, C)."""
    return x.flatten(2).transpose(1, 2)


def _trunk_cells(trunk: Any, x: Tensor) -> Tensor:
    """What a timm trunk gives before pooling -> (B, P, C): of a ViT without its class token."""
    if x.ndim == 3:  # noqa: PLR2004 (B, tokens, C)
        return x[:, getattr(trunk, "num_prefix_tokens", 0) :]
    is_last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"  # Swin's
    return x.flatten(1, 2) if is_last else _cells(x)


def text_tower(model: nn.Module) -> Any:
    """The module that holds embedding, transformer and projection of texts."""
    return cast(Any, model).text


def reads_to_eos(tower: Any) -> bool:
    """Whether nothing after the EOS counts: attention is causal and pooling reads the EOS.

    CoCa's pools a class token, which it puts after the whole context.
    """
    if isinstance(tower, HFTextEncoder) or tower.cls_emb is not None:
        return False
    return tower.attn_mask is not None and tower.pool_type in {"argmax", "eos"}


def without_padding(tower: Any, tokens: Tensor) -> Tensor:
    """Tokens (N, T) as far as any text goes, of a Hugging Face tower, which masks its padding."""
    if not isinstance(tower, HFTextEncoder) or not len(tokens):
        return tokens
    counts = _is_no_padding(tower, tokens).any(0)  # (T,)
    return tokens[:, : int(counts.nonzero().max()) + 1]


def _is_no_padding(tower: HFTextEncoder, tokens: Tensor) -> Tensor:
    """Which tokens (N, T) a Hugging Face tower sees."""
    return tokens != cast(Any, tower.config).pad_token_id


def end_of_text(tower: Any, tokens: Tensor) -> Tensor:
    """Where each text ends, (N,): what a tower that `reads_to_eos` pools."""
    if tower.pool_type == "argmax":
        return tokens.argmax(-1)
    return (tokens == tower.eos_id).int().argmax(-1)


def pooled_text(tower: Any, tokens: Tensor) -> Tensor:
    """The text feature before projection, (N, T) -> (N, W).

    open_clip always runs the whole context; captions fill a third of it. Of a tower that
    `reads_to_eos`, or of Hugging Face's, T may be as short as the longest text; any other wants
    its whole context.
    """
    if isinstance(tower, HFTextEncoder):
        mask = _is_no_padding(tower, tokens).long()
        return tower.pooler(tower.transformer(input_ids=tokens, attention_mask=mask), mask)
    if tower.cls_emb is not None:
        return _pooled_class_token(tower, tokens)
    T = tokens.shape[1]
    x = tower.token_embedding(tokens) + tower.positional_embedding[:T]
    mask = None if tower.attn_mask is None else tower.attn_mask[:T, :T]
    x = tower.ln_final(tower.transformer(x, attn_mask=mask))
    return text_global_pool(x, tokens, tower.pool_type, eos_token_id=tower.eos_id)


def _pooled_class_token(tower: Any, tokens: Tensor) -> Tensor:
    """CoCa's text feature: its class token, put after the whole context; (N, T) -> (N, W).

    open_clip masks padding by a rule of its own, kept for the weights trained with it. What no
    token of any text sees is left out.
    """
    x, mask = tower._embeds(tokens)  # (N, T + 1, W), (N * heads, T + 1, T + 1)
    counts = mask.isfinite().any(0).any(0)  # (T + 1,)
    counts[-1] = True  # the class token, which sees and may not be seen
    x = tower.transformer(x[:, counts], attn_mask=mask[:, counts][..., counts])
    return tower.ln_final(x[:, -1])


def project_text(tower: Any, pooled: Tensor) -> Tensor:
    """(N, W) -> (N, D), not normalised."""
    if isinstance(tower, HFTextEncoder):
        return tower.proj(pooled)
    projection = tower.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
