"""The attention module around the operator: offsets, weights and projections (spec §2)."""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from models.recompute import recomputed

from ..functions import ms_deform_attn


class MSDeformAttn(nn.Module):
    """Each query looks at a few points of every level, near its reference point.

    width C, `levels` maps, `heads` heads and `points` points per head and level (Deformable-DETR §4.1).
    """

    def __init__(self, width: int, levels: int = 4, heads: int = 8, points: int = 4):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets start as rays: head h looks in direction 2πh/heads, point p at distance p + 1 (max-norm)."""
        nn.init.zeros_(self.sampling_offsets.weight)
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ray = torch.stack((angle.cos(), angle.sin()), dim=-1)
        ray = ray / ray.abs().amax(-1, keepdim=True)
        distance = torch.arange(1, self.points + 1)
        rays = ray[:, None, None, :] * distance[None, None, :, None]  # heads, levels, points, xy
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(rays.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        tokens: Tensor,
        shapes: list[tuple[int, int]],
        padding: Tensor,
    ) -> Tensor:
        """Attend from `query` to `tokens`.

        query      [N, Lq, C]
        reference  [N, Lq, levels, 2] points (x, y), or [N, Lq, levels, 4] boxes (cx, cy, w, h), in [0, 1] of the
                   padded map
        tokens     [N, S, C]; padding [N, S] bool, True on padding, whose values count as zero
        returns    [N, Lq, C]
        """
        value = self.value_proj(tokens).masked_fill(padding[..., None], 0.0)
        value = rearrange(value, "n s (m d) -> n s m d", m=self.heads)
        axes = {"m": self.heads, "l": self.levels, "p": self.points}
        offsets = rearrange(self.sampling_offsets(query), "n q (m l p xy) -> n q m l p xy", xy=2, **axes)
        weights = rearrange(self.attention_weights(query), "n q (m lp) -> n q m lp", m=self.heads).softmax(-1)
        weights = rearrange(weights, "n q m (l p) -> n q m l p", l=self.levels)
        locations = self._locations(reference, offsets, shapes)
        return self.output_proj(recomputed(ms_deform_attn, value, shapes, locations, weights))

    def _locations(self, reference: Tensor, offsets: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """Where to sample: pixels around a reference point, or fractions of a reference box."""
        centre = reference[:, :, None, :, None, :2]
        if reference.shape[-1] == 2:
            sizes = offsets.new_tensor([(width, height) for height, width in shapes])
            # Written out for all heads and points: CPUs are slow with axes of two numbers.
            pixel = sizes[:, None].expand(*offsets.shape[-4:]).contiguous()
            return centre + offsets / pixel
        return centre + offsets / self.points * reference[:, :, None, :, None, 2:] * 0.5
