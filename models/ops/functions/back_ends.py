"""Which back end computes: the compiled one of the tensor's device where there is one, else plain PyTorch.

The environment variable TF2_OPS forces: `plain` for everything, or `cpu` or `cuda`, whose compiled back end must then
work. A library is loaded and checked once against plain PyTorch at its first use.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from util.errors import InputError

from ..build_operator import PACKAGE, library_name
from .compiled import CompiledOperator
from .ms_deform_attn_plain import ms_deform_attn as plain

DEVICES = ("cpu", "cuda")
# Sizes of the check: odd ones, two levels, more channels than a vector, locations beyond the edges.
_SHAPES, _CHANNELS = ((5, 7), (3, 2)), 19
_TOLERANCE = 1e-4

_plain_alone = False


def forced() -> str | None:
    """The value of TF2_OPS, None where it is not set. Raises InputError for one that is not known."""
    value = os.environ.get("TF2_OPS", "").strip().lower() or None
    if value not in (None, "plain", *DEVICES):
        raise InputError(f"TF2_OPS={value}: known are plain, cpu and cuda")
    return value


def library_file(device: str) -> Path | None:
    """The installed library for "cpu" or "cuda"; None where none was built."""
    spec = importlib.util.find_spec(PACKAGE)
    files = [Path(folder) / library_name(device) for folder in (spec and spec.submodule_search_locations) or ()]
    return next(filter(Path.is_file, files), None)


@torch.compiler.assume_constant_result
def usable(device: str) -> bool:
    """Whether tensors on "cpu", "cuda", … go to a compiled back end. Raises InputError as `compiled` does."""
    return not _plain_alone and compiled(device) is not None


@contextmanager
def plain_alone() -> Iterator[None]:
    """Without compiled back ends in `ms_deform_attn`: for what must run where there are none (tools/export.py)."""
    global _plain_alone
    _plain_alone = True
    try:
        yield
    finally:
        _plain_alone = False


@cache
def compiled(device: str) -> CompiledOperator | None:
    """The checked back end of a device; None where there is none, or, with one warning, where it does not work.

    Raises InputError instead where TF2_OPS forces it.
    """
    if device not in DEVICES or forced() == "plain":
        return None
    path = library_file(device)
    if path is None and forced() != device:
        return None
    try:
        if path is None:
            raise OSError("that back end is not built; pip install . says why")
        return _checked(path, device)
    except (OSError, AttributeError, ArithmeticError, RuntimeError) as error:
        if forced() == device:
            raise InputError(f"TF2_OPS={device}: {error}") from error
        print(f"warning: compiled operator ({device}) not used, plain PyTorch instead: {error}", file=sys.stderr)
        return None


def _checked(path: Path, device: str) -> CompiledOperator:
    """Load and check; raises what is wrong."""
    # In a thread of its own, the modes that the caller is in (autocast, no_grad, a compiler's trace) are not in force.
    with ThreadPoolExecutor(1) as thread:
        operator = CompiledOperator(path, device)
        thread.submit(_check, operator, device).result()
    return operator


def _check(operator: CompiledOperator, device: str) -> None:
    """Raises ArithmeticError where any direction differs from plain PyTorch."""
    inputs = _small_inputs(device)
    flat_shapes = [size for shape in _SHAPES for size in shape]
    value, locations, weights = inputs
    ours = operator.forward(value, flat_shapes, locations, weights)
    gradients = operator.backward(torch.ones_like(ours), value, flat_shapes, locations, weights)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    output = plain(leaves[0], _SHAPES, *leaves[1:])
    theirs = torch.autograd.grad(output, leaves, torch.ones_like(output))
    for a, b in zip((ours, *gradients), (output, *theirs), strict=True):
        _compare(a, b)
    if device == "cpu":
        _check_raw(operator, *_small_inputs(device))


def _check_raw(operator: CompiledOperator, value: Tensor, locations: Tensor, weights: Tensor) -> None:
    """The operator on offsets and logits: the same samples, around the origin."""
    sizes = torch.tensor([(width, height) for height, width in _SHAPES])
    offsets = (locations * sizes[:, None]).flatten(3, 4).movedim(-1, 3)
    raw = F.pad(torch.cat((offsets, weights.flatten(3)[:, :, :, None].log()), dim=3), (0, 12))  # to 16 samples
    reference = torch.zeros(*raw.shape[:2], len(_SHAPES), 2)
    ours = operator.attend(value, [size for shape in _SHAPES for size in shape], reference, raw.contiguous(), 2)
    _compare(ours, plain(value, _SHAPES, locations, weights / weights.sum((3, 4), keepdim=True)))


def _compare(ours: Tensor, theirs: Tensor) -> None:
    worst = (ours - theirs).abs().max().item() / theirs.abs().max().item()
    if not worst <= _TOLERANCE:
        raise ArithmeticError(f"it differs from plain PyTorch by {worst:.1e}")


def _small_inputs(device: str) -> list[Tensor]:
    """Value, locations and weights of 2 images, 3 heads, 4 queries, 2 points; the same each time."""

    def ramp(*shape: int) -> Tensor:
        # An irrational step: no draw, so that nobody's random state moves.
        steps = torch.arange(torch.Size(shape).numel(), dtype=torch.float64) * 0.6180339887498949
        return steps.frac().float().reshape(shape).to(device)

    tokens = sum(height * width for height, width in _SHAPES)
    return [ramp(2, tokens, 3, _CHANNELS) - 0.5, 1.4 * ramp(2, 4, 3, 2, 2, 2) - 0.2, ramp(2, 4, 3, 2, 2)]
