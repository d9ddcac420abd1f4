"""Memory for a little time: what is cheap to compute again in the backward pass is not kept for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

_enabled = True


def recomputed(function: Callable[..., Any], *args: object) -> Any:
    """`function(*args)`, keeping only `args` for the backward pass (Chen et al. 2016); plain without gradients."""
    if _enabled and torch.is_grad_enabled():
        return checkpoint(function, *args, use_reentrant=False)
    return function(*args)


@contextmanager
def everything_kept() -> Iterator[None]:
    """Without recomputation, for comparison (tools/benchmark.py)."""
    global _enabled
    _enabled = False
    try:
        yield
    finally:
        _enabled = True
