"""Deformable attention of trained networks around functions/fused_attention.py, for inference on the CPU."""

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from ..functions.fused_attention import attend, filled
from .ms_deform_attn import MSDeformAttn

_VECTOR = 16  # channels that the sampler reads where they lie


class FusedDeformAttn(nn.Module):
    """MSDeformAttn in one pass over the queries and one over the samples."""

    def __init__(self, attention: MSDeformAttn):
        super().__init__()
        self.heads, self.points = attention.heads, attention.points
        self.value_proj, self.output_proj = attention.value_proj, attention.output_proj
        # Also of its own, as value_proj may come to have them packed.
        self.value_weight, self.value_bias = attention.value_proj.weight, attention.value_proj.bias
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
        unpadded = not padding.any()
        if unpadded and query.shape[1] * self.heads * filled(self.points * len(shapes)) <= tokens.shape[1]:
            return self._project_samples(query, reference, tokens, shapes)
        value = self.value_proj(tokens)
        if not unpadded:
            value = value.masked_fill(padding[..., None], 0.0)
        value = rearrange(value, "n s (m d) -> n s m d", m=self.heads)
        raw = rearrange(self.raw(query), "n q (m parts k) -> n q m parts k", m=self.heads, parts=3)
        return attend(value, shapes, reference, raw, self.points)

    def _project_samples(
        self, query: Tensor, reference: Tensor, tokens: Tensor, shapes: list[tuple[int, int]]
    ) -> Tensor:
        """The same for few queries: both steps are linear, and there are fewer samples than tokens to be projected.

        To the sampler, each query of each head is one of a single head, whose values are the tokens. A sample has as
        much of the projection's bias as of its weight lies within the maps.
        """
        raw = rearrange(self.raw(query), "n q (m parts k) -> n (q m) 1 parts k", m=self.heads, parts=3)
        reference = reference.repeat_interleave(self.heads, 1)
        ones = tokens.new_ones(*tokens.shape[:2], 1, _VECTOR)
        within = attend(ones, shapes, reference, raw, self.points)[..., :1]
        samples = attend(tokens[:, :, None], shapes, reference, raw, self.points)
        weight = rearrange(self.value_weight, "(m d) c -> m d c", m=self.heads)
        samples, within = (rearrange(x, "n (q m) c -> n q m c", m=self.heads) for x in (samples, within))
        value = einsum(samples, weight, "n q m c, m d c -> n q m d")
        return (value + within * self.value_bias.view(self.heads, -1)).flatten(2)


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
