"""Multi-scale deformable attention as an operator of PyTorch: autograd, torch.compile and torch.export know it.

Shapes and errors as in ms_deform_attn_plain.py. What computes it is chosen in back_ends.py.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.precision import exact_type

from .back_ends import compiled, usable
from .compiled import computes
from .ms_deform_attn_plain import check_shapes
from .ms_deform_attn_plain import ms_deform_attn as plain


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]] | Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Weighted sum of bilinear samples over levels and points (Deformable-DETR, eq. 3; spec §2).

    value               [N, S, M, D], S = Σ H·W over the levels in order
    spatial_shapes      L pairs (H, W), Python integers or a tensor [L, 2]
    sampling_locations  [N, Lq, M, L, P, 2], (x, y) with the map's edges at 0 and 1; zeros outside
    attention_weights   [N, Lq, M, L, P]
    returns             [N, Lq, M·D] in the type of `value`; half types are summed in float32

    Gradients of gradients are known to the plain back end alone. Raises ValueError where the shapes do not fit.
    """
    shapes = [(int(height), int(width)) for height, width in spatial_shapes]
    check_shapes(value, shapes, sampling_locations, attention_weights)
    if not value.dtype == sampling_locations.dtype == attention_weights.dtype:
        exact = exact_type(value.dtype)
        sampling_locations, attention_weights = sampling_locations.to(exact), attention_weights.to(exact)
    if usable(value.device.type) and computes(value, sampling_locations, attention_weights):
        return _forward(value, [size for shape in shapes for size in shape], sampling_locations, attention_weights)
    return plain(value, shapes, sampling_locations, attention_weights)


@torch.library.custom_op("tf2::ms_deform_attn", mutates_args=())
def _forward(value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    operator = compiled(value.device.type)
    return operator.forward(value.contiguous(), shapes, locations.contiguous(), weights.contiguous())


@_forward.register_fake
def _(value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    batch, queries = locations.shape[:2]
    return value.new_empty(batch, queries, value.shape[2] * value.shape[3])


@torch.library.custom_op("tf2::ms_deform_attn_backward", mutates_args=())
def _backward(
    grad_output: Tensor, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    operator = compiled(value.device.type)
    grad_output, value = grad_output.contiguous(), value.contiguous()
    return operator.backward(grad_output, value, shapes, locations.contiguous(), weights.contiguous())


@_backward.register_fake
def _(
    grad_output: Tensor, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(
        torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in (value, locations, weights)
    )


def _keep_for_backward(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    value, ctx.shapes, locations, weights = inputs
    ctx.save_for_backward(value, locations, weights)


def _gradients(ctx: torch.autograd.function.FunctionCtx, grad_output: Tensor) -> tuple:
    value, locations, weights = ctx.saved_tensors
    grad_value, *others = _backward(grad_output, value, ctx.shapes, locations, weights)
    return grad_value, None, *others


_forward.register_autograd(_gradients, setup_context=_keep_for_backward)
