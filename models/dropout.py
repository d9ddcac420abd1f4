"""Dropout that costs a CPU a part of what PyTorch's costs, and keeps no mask (ops/functions/drop.py)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .ops.functions.drop import dropped, new_seed


class Dropout(nn.Dropout):
    """nn.Dropout, with other draws on a CPU. Compilers are shown PyTorch's own."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] → the same, with a share `p` of zeros in training."""
        plain = not self.training or self.p in (0, 1) or x.device.type != "cpu" or torch.compiler.is_compiling()
        return super().forward(x) if plain else _Dropped.apply(x, self.p, new_seed())


class _Dropped(torch.autograd.Function):
    """The gradient is dropped as the input was. There are no gradients of gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float, seed: int) -> Tensor:
        ctx.share, ctx.seed = share, seed
        return dropped(x.contiguous(), share, seed, scale=1 / (1 - share))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return dropped(gradient.contiguous(), ctx.share, ctx.seed, scale=1 / (1 - ctx.share)), None, None
