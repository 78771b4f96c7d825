"""A Transformer that learns captions from both ends: VirTex's bicaptioning (Desai & Johnson 2021).

"VirTex: Learning Visual Representations from Textual Annotations", section 3 and equation 1: beside
the decoder that says a caption's next word, a second one says the word before, so that the image
encoder must explain both. Both share the image projection and the word embedding, which is also the
output layer. Only maximum likelihood asks the second one; serving, search and self-critical
training speak forwards. VirTex's own shape is `encoder_layers: 0`, one wide `decoder_layers: 1`,
over a ResNet-50 that it trains (`models/pixels.py`).

Deviations: layers are pre-norm, as in the Transformer here, and the second decoder starts from
random weights of its own instead of a copy of the first one's.
"""

from typing import ClassVar

from torch import Tensor, nn

from finecap.data.tokenizer import WordTokenizer
from finecap.models.transformer import ImageMemory, TransformerCaptioner, TransformerShape


class BicaptioningTransformer(TransformerCaptioner):
    """A `TransformerCaptioner` with a second decoder for reversed captions.

    The forward half, random weights included, is that of a `TransformerCaptioner` of this shape.
    """

    family: ClassVar[str] = "bicaptioning_transformer"
    bicaptioning = True

    def __init__(self, shape: TransformerShape, tokenizer: WordTokenizer) -> None:
        super().__init__(shape, tokenizer)
        self.backward_decoder = self._stack()
        self.backward_norm = nn.LayerNorm(shape.width)

    def teacher_forced_backward(self, memory: ImageMemory, input_ids: Tensor) -> Tensor:
        """Logits (B, K, T, V) after each of the reversed captions' `input_ids` (B, K, T)."""
        keys_values = self._projected(self.backward_decoder, memory.encoded)
        x = self._through(self.backward_decoder, keys_values, input_ids)
        return self._logits(self.backward_norm(x)).view(*input_ids.shape, -1)
