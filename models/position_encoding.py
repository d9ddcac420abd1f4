"""Sine position encodings of pixels and words (spec §2, after "Attention is all you need", eq. 3.5)."""

import math
from functools import lru_cache

import torch
from torch import Tensor

TEMPERATURE = 10000.0
EPSILON = 1e-6  # keeps a fully padded axis from dividing by zero


def _sine(positions: Tensor, features: int) -> Tensor:
    """[...] positions → [..., features], sine and cosine interleaved."""
    index = torch.arange(features, dtype=torch.float32, device=positions.device)
    frequency = TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / features)
    angle = positions[..., None] / frequency
    return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(-2)


def sine_position_2d(padding: Tensor, features: int) -> Tensor:
    """Positions over the unpadded part of each map.

    padding [N, h, w] bool, True on padding → [N, features, h, w]; the first half of the features is y, the second x.
    """
    real = (~padding).float()
    y, x = real.cumsum(1), real.cumsum(2)
    y = (y - 0.5) / (y[:, -1:, :] + EPSILON) * (2 * math.pi)
    x = (x - 0.5) / (x[:, :, -1:] + EPSILON) * (2 * math.pi)
    return torch.cat((_sine(y, features // 2), _sine(x, features // 2)), dim=-1).permute(0, 3, 1, 2)


@lru_cache(maxsize=16)  # the levels of a few frame sizes
def unpadded_position_2d(shape: tuple[int, int], features: int, device: torch.device) -> Tensor:
    """sine_position_2d of a map (h, w) without padding, [1, features, h, w]; made once, for inference alone."""
    return sine_position_2d(torch.zeros(1, *shape, dtype=torch.bool, device=device), features)


def sine_position_1d(padding: Tensor, features: int) -> Tensor:
    """Positions of words: padding [B, L] bool, True on padding → [B, L, features]."""
    position = (~padding).float().cumsum(1)
    return _sine(position / (position[:, -1:] + EPSILON) * (2 * math.pi), features)
