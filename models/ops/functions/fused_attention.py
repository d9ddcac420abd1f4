"""The operator on raw offsets and logits, for inference on the CPU: locations and weights are never tensors.

Around the operator, these cost PyTorch three times what it costs itself. There are no gradients.
N images, S tokens of all levels, M heads of width D, Lq queries, L levels, P points, K = `filled(L·P)`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .back_ends import compiled
from .compiled import size_fits_cpu

_UNIT = 16  # samples: whole vectors of each processor


def available() -> bool:
    """Whether there is a compiled back end for the CPU; with TF2_OPS=plain there is none."""
    return compiled("cpu") is not None


def filled(samples: int) -> int:
    """A multiple of 16, at least `samples`."""
    return -(-samples // _UNIT) * _UNIT


def attend(
    value: Tensor, spatial_shapes: Sequence[tuple[int, int]], reference: Tensor, raw: Tensor, points: int
) -> Tensor:
    """`ms_deform_attn` at reference + offsets, with the softmax of the logits as weights.

    value           [N, S, M, D] float32, S = Σ H·W over the levels in order
    spatial_shapes  L pairs (H, W)
    reference       [N, Lq, L, 2] points (x, y), or [N, Lq, L, 4] boxes (cx, cy, w, h), in [0, 1]
    raw             [N, Lq, M, 3, K]: offsets in x, in y, and logits of the L·P samples, level by level, then anything;
                    offsets are in pixels of the level, or in w / 2P and h / 2P of the box
    returns         [N, Lq, M·D]

    Raises ValueError for shapes that do not fit, TypeError for what is not float32 on the CPU, RuntimeError where a
    gradient would be needed or there is no compiled back end.
    """
    shapes = [(int(height), int(width)) for height, width in spatial_shapes]
    _check(value, shapes, reference, raw, points)
    operator = compiled("cpu")
    if operator is None:
        raise RuntimeError("there is no compiled operator for the CPU here")
    flat_shapes = [size for shape in shapes for size in shape]
    return operator.attend(value.contiguous(), flat_shapes, reference.contiguous(), raw.contiguous(), points)


def _check(value: Tensor, shapes: list[tuple[int, int]], reference: Tensor, raw: Tensor, points: int) -> None:
    tensors = (value, reference, raw)
    batch, tokens, heads, _ = value.shape
    queries, levels = raw.shape[1], len(shapes)
    wanted = (batch, queries, heads, 3, filled(levels * points))
    fits = raw.shape == wanted and reference.shape[:3] == (batch, queries, levels) and reference.shape[3] in (2, 4)
    if not fits or tokens != sum(height * width for height, width in shapes) or points < 1:
        sizes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(f"value, reference and raw {sizes} do not fit levels {shapes} of {points} points")
    if not size_fits_cpu(value):
        raise ValueError(f"value {tuple(value.shape)} is too large")
    if any(tensor.dtype != torch.float32 or tensor.device.type != "cpu" for tensor in tensors):
        raise TypeError("raw offsets and logits are attended to in float32 on the CPU alone")
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        raise RuntimeError("fused attention has no gradients: use torch.inference_mode()")
