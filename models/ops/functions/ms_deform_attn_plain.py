"""Multi-scale deformable attention in plain PyTorch: any device, any number of frames, autograd.

N frames, S tokens of all levels, M heads of width D, Lq queries, L levels, P points.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from models.precision import exact_type


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

    Raises ValueError where the shapes do not fit one another.
    """
    shapes = [(int(height), int(width)) for height, width in spatial_shapes]
    check_shapes(value, shapes, sampling_locations, attention_weights)
    exact = exact_type(value.dtype)
    grids = 2 * sampling_locations.to(exact) - 1
    weights = attention_weights.to(exact)
    total = 0
    for level, tokens in enumerate(value.split([h * w for h, w in shapes], dim=1)):
        feature_map = rearrange(tokens.to(exact), "n (h w) m d -> (n m) d h w", h=shapes[level][0])
        grid = rearrange(grids[:, :, :, level], "n q m p xy -> (n m) q p xy")
        samples = F.grid_sample(feature_map, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        level_weights = rearrange(weights[:, :, :, level], "n q m p -> (n m) 1 q p")
        total = total + (samples * level_weights).sum(-1)  # [N·M, D, Lq]
    return rearrange(total, "(n m) d q -> n q (m d)", n=value.shape[0]).to(value.dtype)


def check_shapes(value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> None:
    """Raises ValueError: wrong shapes would sample wrong pixels without an error."""
    batch, tokens, heads, _ = value.shape
    if tokens != sum(h * w for h, w in shapes):
        raise ValueError(f"value holds {tokens} tokens, the levels {shapes} need {sum(h * w for h, w in shapes)}")
    _, queries, _, _, points, _ = locations.shape
    wanted = (batch, queries, heads, len(shapes), points)
    if tuple(locations.shape) != (*wanted, 2) or tuple(weights.shape) != wanted:
        raise ValueError(
            f"sampling_locations {tuple(locations.shape)} and attention_weights {tuple(weights.shape)} "
            f"do not fit value {tuple(value.shape)} and {len(shapes)} levels"
        )
