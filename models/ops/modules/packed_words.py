"""Attention of many pixels to the few words of their sentence, on packed weights: for inference alone.

With a head's keys k and values v known, its logits x·W_q·kᵀ are linear in the pixel x, and the output is linear in the
words' shares. Both products of weights are made once. All pixels then go through two small layers, a softmax between
them: fewer numbers than queries of the full width, none of which is ever in memory.
F frames, B sentences (of each frame B / F that follow one another), N pixels, L words, C width, M heads.
"""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn

from ..functions.fastest_products import packed, product
from ..functions.products import SOFTMAX_WIDTHS

FEWEST_PIXELS = 64  # for which making the two layers pays


class PackedWords(nn.Module):
    """A nn.MultiheadAttention with batch_first, whose keys and values are words."""

    def __init__(self, attention: nn.MultiheadAttention, terms: int):
        super().__init__()
        self.heads, self.terms = attention.num_heads, terms
        biases = (None,) * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
        self.of_queries, self.of_keys, self.of_values = zip(attention.in_proj_weight.chunk(3), biases, strict=True)
        self.output = attention.out_proj.weight, attention.out_proj.bias

    def fits(self, pixels: Tensor, keys: Tensor) -> bool:
        """Whether this is for pixels [F, N, C] and keys [B, L, C]: many of the ones, few of the others."""
        slots = _slots(keys.shape[1])
        return pixels.shape[1] >= FEWEST_PIXELS and slots is not None and self.heads * slots <= pixels.shape[-1]

    def forward(
        self,
        pixels: Tensor,
        keys: Tensor,
        words: Tensor,
        padding: Tensor | None = None,
        added: Tensor | None = None,
        norm: nn.LayerNorm | None = None,
    ) -> Tensor:
        """pixels [F, N, C], keys and words [B, L, C], padding [B, L] bool, True on padding → [B, N, C].

        added: [F, N, C], to the result; norm: over the last axis, after that
        """
        slots, output = _slots(keys.shape[1]), pixels.new_empty(len(keys), *pixels.shape[1:])
        layers = zip(*self._first(keys, padding, slots), self._second(words, slots), strict=True)
        for number, (weight, bias, then_weight) in enumerate(layers):
            frame = number * len(pixels) // len(keys)
            product(
                pixels[frame],
                packed(weight, bias, self.terms),
                then=packed(then_weight, self.output[1], self.terms),
                softmax=slots,
                added=None if added is None else added[frame],
                norm=norm,
                into=output[number],
            )
        return output

    def _first(self, keys: Tensor, padding: Tensor | None, slots: int) -> tuple[Tensor, Tensor]:
        """Pixel → logits: weights [B, M·slots, C], and biases, which leave slots without a word nothing."""
        weight, bias = self.of_queries
        known = rearrange(F.linear(keys, *self.of_keys), "b l (m d) -> b m l d", m=self.heads)
        known = known * known.shape[-1] ** -0.5
        weights = einsum(known, rearrange(weight, "(m d) c -> m d c", m=self.heads), "b m l d, m d c -> b m l c")
        biases = known.new_zeros(known.shape[:3])
        if bias is not None:
            biases = einsum(known, rearrange(bias, "(m d) -> m d", m=self.heads), "b m l d, m d -> b m l")
        if padding is not None:
            biases = biases.masked_fill(padding[:, None], -torch.inf)
        empty = slots - keys.shape[1]
        weights, biases = F.pad(weights, (0, 0, 0, empty)), F.pad(biases, (0, empty), value=-torch.inf)
        return weights.flatten(1, 2), biases.flatten(1)

    def _second(self, words: Tensor, slots: int) -> Tensor:
        """Shares → output: weights [B, C, M·slots]."""
        known = rearrange(F.linear(words, *self.of_values), "b l (m d) -> b m l d", m=self.heads)
        by_head = rearrange(self.output[0], "c (m d) -> c m d", m=self.heads)
        weights = einsum(known, by_head, "b m l d, c m d -> b c m l")
        return F.pad(weights, (0, slots - words.shape[1])).flatten(2)


def _slots(words: int) -> int | None:
    """A head's channels between the two layers; None for too many words."""
    return next((width for width in SOFTMAX_WIDTHS if words <= width), None)
