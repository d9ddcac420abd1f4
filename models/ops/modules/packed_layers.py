"""Layers of trained networks on the packed weights of functions/fastest_products.py, for inference alone.

They are made from PyTorch's and give the same to some 3e-6, or with one term a number to some 3e-3. They have no
parameters, and nothing in a state dict.
N images, C channels in, O out.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ..functions.fastest_products import convolve, packed, product
from .packed_words import PackedWords


class PackedLinear(nn.Module):
    """nn.Linear."""

    def __init__(self, linear: nn.Linear, terms: int):
        super().__init__()
        self.layer = packed(linear.weight, linear.bias, terms)

    def forward(self, x: Tensor, added: Tensor | None = None, norm: nn.LayerNorm | None = None) -> Tensor:
        """[..., C] → [..., O]; `added`, of that shape, goes in before the norm."""
        return product(x, self.layer, added=added, norm=norm)


class PackedFeedForward(nn.Module):
    """x + two linear layers of x with a ReLU between, then a norm; what lies between stays in the cache."""

    def __init__(self, first: nn.Linear, second: nn.Linear, norm: nn.LayerNorm, terms: int):
        super().__init__()
        self.first, self.second = (packed(layer.weight, layer.bias, terms) for layer in (first, second))
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] → the same."""
        return product(x, self.first, then=self.second, added=x, norm=self.norm)


class PackedMlp(nn.Module):
    """Two linear layers with a GELU between, which stays in the cache."""

    def __init__(self, first: nn.Linear, second: nn.Linear, terms: int):
        super().__init__()
        self.first, self.second = (packed(layer.weight, layer.bias, terms) for layer in (first, second))

    def forward(self, x: Tensor, added: Tensor) -> Tensor:
        """[..., C] → [..., O]; `added`, of that shape, goes in last."""
        return product(x, self.first, then=self.second, added=added, gelu=True)


class PackedConv2d(nn.Module):
    """nn.Conv2d without groups, and perhaps a ReLU. What comes out lies channels last."""

    def __init__(self, conv: nn.Conv2d, terms: int, *, relu: bool = False):
        super().__init__()
        self.layer, self.relu = packed(conv.weight, conv.bias, terms), relu
        self.steps = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """[N, C, H, W] → [N, O, h, w]; `added`, of that shape, goes in before the ReLU."""
        return convolve(x, self.layer, **self.steps, added=added, relu=self.relu)


class PackedAttention(nn.Module):
    """nn.MultiheadAttention with batch_first, for queries, keys and values of one width."""

    def __init__(self, attention: nn.MultiheadAttention, terms: int):
        super().__init__()
        self.heads = attention.num_heads
        biases = (None,) * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
        self.inputs = [packed(*layer, terms) for layer in zip(attention.in_proj_weight.chunk(3), biases, strict=True)]
        self.out_proj = packed(attention.out_proj.weight, attention.out_proj.bias, terms)
        self.words = PackedWords(attention, terms)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, None]:
        """query [N, Q, C], key and value [N, K, C], key_padding_mask [N, K] bool, True on padding → [N, Q, C], None."""
        if need_weights:
            raise ValueError("the packed attention does not tell its weights")
        if self.words.fits(query, key):
            return self.words(query, key, value, key_padding_mask), None
        parts = zip((query, key, value), self.inputs, strict=True)
        heads = [product(x, layer).unflatten(-1, (self.heads, -1)).transpose(1, 2) for x, layer in parts]
        mask = None if key_padding_mask is None else ~key_padding_mask[:, None, None]
        attended = F.scaled_dot_product_attention(*heads, attn_mask=mask)
        return product(attended.transpose(1, 2).flatten(2), self.out_proj), None
