"""Image-to-text models of transformers, small and random, as `save_pretrained` leaves them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = ("a", "red", "green", "boat", "cat", "on", "the", "sea", "##s", "dog", "'", "small")


def write_pretrained(folder: Path, kind: str, words: Sequence[str], spread: float) -> None:
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
