"""Memory for a little time: what is cheap to compute again in the backward pass is not kept for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_enabled = True


def recomputed(function: Callable[..., Any], *args: object) -> Any:
    """`function(*args)`, keeping only `args` for the backward pass (Chen et al. 2016); plain without gradients."""
    if _enabled and torch.is_grad_enabled():
        return checkpoint(function, *args, use_reentrant=False)
    return function(*args)


def recomputed_in_parts(function: Callable[[Tensor], Tensor], tokens: Tensor, size: int = 8192) -> Tensor:
    """`function` of each token alone, [N, S, C] → [N, S, C'], `size` tokens at a time: what is wide stays short."""
    if not (_enabled and torch.is_grad_enabled()) or tokens.shape[:2].numel() <= size:
        return recomputed(function, tokens)
    parts = tokens.flatten(0, 1).split(size)
    return torch.cat([recomputed(function, part) for part in parts]).unflatten(0, tokens.shape[:2])


@contextmanager
def everything_kept() -> Iterator[None]:
    """Without recomputation, for comparison (tools/benchmark.py)."""
    global _enabled
    _enabled = False
    try:
        yield
    finally:
        _enabled = True
