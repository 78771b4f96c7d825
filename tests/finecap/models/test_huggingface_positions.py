"""Every kind of decoder is told where words stand, or refused by its name."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from finecap.models.folder import ModelFolderError
from finecap.models.huggingface_decoders import image_decoder
from finecap.models.huggingface_positions import Positions

import transformers as hf  # isort: skip - the shim that torchvision needs comes first

V, B, K, T = 20, 2, 3, 5
SHARED = {"vocab_size": V, "max_position_embeddings": 12, "pad_token_id": 1, "bos_token_id": 0}
BERT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
BART = {
    "d_model": 8,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 8,
}
TROCR = {k: v for k, v in BART.items() if not k.startswith("encoder")}
FULL = {"attention_type": "original_full"}
SERVED: dict[str, tuple[Any, dict[str, Any]]] = {
    "bart": (hf.BartConfig, BART),
    "bigbird_pegasus": (hf.BigBirdPegasusConfig, BART | FULL),
    "blenderbot": (hf.BlenderbotConfig, BART),
    "blenderbot_small": (hf.BlenderbotSmallConfig, BART),
    "camembert": (hf.CamembertConfig, BERT),
    "electra": (hf.ElectraConfig, BERT | {"embedding_size": 8}),
    "marian": (hf.MarianConfig, BART),
    "mvp": (hf.MvpConfig, BART),
    "pegasus": (hf.PegasusConfig, BART),
    "plbart": (hf.PLBartConfig, BART),
    "rembert": (hf.RemBertConfig, BERT),
    "roformer": (hf.RoFormerConfig, BERT | {"embedding_size": 8}),
    "trocr": (hf.TrOCRConfig, TROCR),
}
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "big_bird": (hf.BigBirdConfig, BERT | FULL, "BigBirdForCausalLM .* from a cache"),
    "megatron": (hf.MegatronBertConfig, BERT, "MegatronBertForCausalLM .* from a cache"),
    "prophetnet": (
        hf.ProphetNetConfig,
        {"hidden_size": 8, "num_decoder_layers": 1, "num_decoder_attention_heads": 2},
        "ProphetNetForCausalLM .* each n-gram",
    ),
    "sinusoidal_trocr": (
        hf.TrOCRConfig,
        TROCR | {"use_learned_position_embeddings": False},
        r"TrOCRForCausalLM .* told the positions of words \(TrOCRSinusoidal.*\), .* or TrOCR",
    ),
    "xglm": (
        hf.XGLMConfig,
        {"d_model": 8, "ffn_dim": 8, "num_layers": 1, "attention_heads": 2},
        r"told the positions of words \(XGLMSinusoidal",
    ),
    "layerdrop": (hf.BartConfig, BART | {"decoder_layerdrop": 0.1}, "`decoder_layerdrop` .* to 0"),
}


def captioning(kind: Any, sizes: dict[str, Any]) -> Any:
    """A ViT with a decoder of that kind, weights random and large."""
    image = {**BERT, "image_size": 8, "patch_size": 4}
    decoder = kind(**SHARED, **sizes, is_decoder=True, add_cross_attention=True)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        hf.ViTConfig(**image), decoder
    )
    torch.manual_seed(0)
    model = hf.VisionEncoderDecoderModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter.requires_grad:
                parameter.normal_(std=0.6)
    return model


@pytest.fixture
def captions() -> Tensor:
    """(B, K, T)."""
    return torch.randint(3, V, (B, K, T), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("name", SERVED)
def test_captions_side_by_side_are_scored_as_each_alone(name: str, captions: Tensor) -> None:
    model = captioning(*SERVED[name])
    images = torch.randn(B, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    decoder = image_decoder(model)
    assert T < decoder.room <= 12
    memory = decoder.memory(images)
    own = torch.eye(K, dtype=torch.bool)[:, None, :, None]
    before = torch.ones(T, T, dtype=torch.bool).tril()[None, :, None]
    sees = (own & before).view(K * T, K * T)
    positions, cache = torch.arange(T).repeat(K), decoder.begin(memory)
    ours = decoder.logits(captions.flatten(1), positions, sees, memory, cache).view(B, K, T, V)
    for k in range(K):
        theirs = model(pixel_values=images, decoder_input_ids=captions[:, k]).logits
        assert theirs.std() > 0.3
        torch.testing.assert_close(ours[:, k], theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_by_name(name: str) -> None:
    kind, sizes, message = REFUSED[name]
    with pytest.raises(ModelFolderError, match=message):
        image_decoder(captioning(kind, sizes))


def test_a_decoder_counts_by_itself_again_once_it_was_told() -> None:
    decoder = captioning(*SERVED["bart"]).decoder
    ids = torch.tensor([[3, 4, 5]])
    before = decoder(input_ids=ids).logits
    with Positions(decoder).told(torch.tensor([2, 1, 0])) as arguments:
        told = decoder(input_ids=ids, **arguments).logits
    assert arguments == {}
    assert not torch.allclose(told, before, atol=1e-3)
    assert torch.equal(decoder(input_ids=ids).logits, before)


def test_a_copy_of_a_decoder_is_told_apart_from_it() -> None:
    adapter = image_decoder(captioning(*SERVED["bart"]))
    other = deepcopy(adapter)
    ids = torch.tensor([[3, 4, 5]])
    with other.positions.told(torch.tensor([2, 1, 0])):
        plain, told = (a.decoder(input_ids=ids).logits for a in (adapter, other))
    assert not torch.allclose(plain, told, atol=1e-3)
