"""Deformable attention of trained networks around functions/fused_attention.py, for inference on the CPU."""

import torch
from einops import rearrange
from torch import Tensor, nn

from ..functions.fused_attention import attend, filled
from .ms_deform_attn import MSDeformAttn


class FusedDeformAttn(nn.Module):
    """MSDeformAttn in one pass over the queries and one over the samples."""

    def __init__(self, attention: MSDeformAttn):
        super().__init__()
        self.heads, self.points = attention.heads, attention.points
        self.value_proj, self.output_proj = attention.value_proj, attention.output_proj
        self.raw = _joined(attention)

    def forward(
        self, query: Tensor, reference: Tensor, tokens: Tensor, shapes: list[tuple[int, int]], padding: Tensor
    ) -> Tensor:
        """As MSDeformAttn.forward."""
        return self.output_proj(self.look(query, reference, tokens, shapes, padding))

    def look(
        self, query: Tensor, reference: Tensor, tokens: Tensor, shapes: list[tuple[int, int]], padding: Tensor
    ) -> Tensor:
        """What goes into the output's projection, [N, Lq, C]."""
        value = self.value_proj(tokens)
        if padding.any():
            value = value.masked_fill(padding[..., None], 0.0)
        value = rearrange(value, "n s (m d) -> n s m d", m=self.heads)
        raw = rearrange(self.raw(query), "n q (m parts k) -> n q m parts k", m=self.heads, parts=3)
        return attend(value, shapes, reference, raw, self.points)


def _joined(attention: MSDeformAttn) -> nn.Linear:
    """One layer for offsets and logits, whose outputs lie as the kernel reads them."""
    samples = attention.levels * attention.points
    offsets, logits = attention.sampling_offsets, attention.attention_weights
    raw = nn.Linear(offsets.in_features, attention.heads * 3 * filled(samples)).to(offsets.weight)

    def rows(tensor_of_offsets: Tensor, tensor_of_logits: Tensor) -> Tensor:
        xy = rearrange(tensor_of_offsets, "(m k xy) ... -> m xy k ...", m=attention.heads, xy=2)
        rest = rearrange(tensor_of_logits, "(m k) ... -> m 1 k ...", m=attention.heads)
        parts = torch.cat((xy, rest), dim=1)
        filling = parts.new_zeros(attention.heads, 3, filled(samples) - samples, *parts.shape[3:])
        return torch.cat((parts, filling), dim=2).flatten(0, 2)

    with torch.no_grad():
        raw.weight.copy_(rows(offsets.weight, logits.weight))
        raw.bias.copy_(rows(offsets.bias, logits.bias))
    return raw.requires_grad_(False)
