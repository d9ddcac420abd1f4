"""Deformable encoder: every pixel of every level looks at a few points of all levels (spec §2, Encoder)."""

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .feedforward import feedforward
from .ops.modules import MSDeformAttn
from .recompute import recomputed


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and FFN, both post-norm."""

    def __init__(self, width: int, attention: MSDeformAttn, feedforward: int, dropout: float):
        super().__init__()
        self.self_attn = attention
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.dropout = Dropout(dropout)

    def forward(
        self, tokens: Tensor, position: Tensor, reference: Tensor, shapes: list[tuple[int, int]], padding: Tensor
    ) -> Tensor:
        attended = self.self_attn(tokens + position, reference, tokens, shapes, padding)
        tokens = self.norm1(tokens + self.dropout(attended))
        digested = feedforward(tokens, self.linear1, self.linear2, self.dropout)
        return self.norm2(tokens + self.dropout(digested))


class DeformableEncoder(nn.Module):
    """A stack of layers over the flattened levels of one stream."""

    def __init__(self, layers: list[DeformableEncoderLayer]):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.recompute = False  # whole layers in the backward pass

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        shapes: list[tuple[int, int]],
        padding: Tensor,
        valid_ratios: Tensor,
    ) -> Tensor:
        """Tokens [N, S, C] → memory of that shape.

        position [N or 1, S, C]; padding [N, S] bool; valid_ratios [N, levels, 2]
        """
        reference = pixel_centres(shapes, valid_ratios)
        for layer in self.layers:
            inputs = (tokens, position, reference, shapes, padding)
            tokens = recomputed(layer, *inputs) if self.recompute else layer(*inputs)
        return tokens


def pixel_centres(shapes: list[tuple[int, int]], valid_ratios: Tensor) -> Tensor:
    """Each token's own place on every level, [N, S, levels, 2] (x, y).

    (i + 0.5) / (valid ratio of the token's level · size) is the place in the unpadded frame; times the valid ratio of
    the sampled level it is the place on that padded map.
    """
    centres = []
    for level, (height, width) in enumerate(shapes):
        y, x = torch.meshgrid(
            torch.arange(height, device=valid_ratios.device) + 0.5,
            torch.arange(width, device=valid_ratios.device) + 0.5,
            indexing="ij",
        )
        pixels = torch.stack((x, y), dim=-1).flatten(0, 1)
        size = valid_ratios.new_tensor((width, height)) * valid_ratios[:, level]
        centres.append(pixels[None] / size[:, None])
    return torch.cat(centres, dim=1)[:, :, None] * valid_ratios[:, None]
