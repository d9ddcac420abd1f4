"""Dropout whose draws cost a CPU a part of what PyTorch's cost: one number of 64 bits decides on four elements."""

import torch
from torch import Tensor, nn

_PART = 1 << 20  # elements that are drawn for at once: what is drawn stays in the cache
_DRAWS = 1 << 16  # equally likely ones


class Dropout(nn.Dropout):
    """nn.Dropout, with other draws on a CPU. Compilers are shown PyTorch's own."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] → the same, with a share `p` of zeros in training."""
        plain = not self.training or self.p in (0, 1) or x.device.type != "cpu" or torch.compiler.is_compiling()
        if plain:
            return super().forward(x)
        scale = torch.full(x.shape, 1 / (1 - self.p), dtype=x.dtype)
        return x * drop(scale, self.p)


def drop(x: Tensor, share: float) -> Tensor:
    """Zero a random share of x (contiguous, on the CPU) in place."""
    limit = min(round(share * _DRAWS), _DRAWS - 1) - _DRAWS // 2  # as int16 counts
    for part in x.view(-1).split(_PART):
        bits = torch.empty(-(-part.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        part.masked_fill_(bits[: part.numel()] < limit, 0)
    return x
