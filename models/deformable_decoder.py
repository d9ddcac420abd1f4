"""Deformable decoder: the sentence's queries look first at the reference, then at the current frame (spec §2, Decoder).

N = B·T frames, Q queries, C width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.structures import Memory

from .ops.modules import MSDeformAttn
from .precision import at_least_float32


class DeformableDecoderLayer(nn.Module):
    """Self-attention → norm2, deformable cross-attention → norm1 for each memory in turn, FFN → norm3."""

    def __init__(self, width: int, heads: int, attention: MSDeformAttn, feedforward: int, dropout: float):
        super().__init__()
        self.cross_attn = attention
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.linear1, self.linear2 = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, content: Tensor, position: Tensor, reference: Tensor, memories: tuple[Memory, ...]) -> Tensor:
        """content, position [N, Q, C]; reference [N, Q, levels, 2 or 4], the same for all memories → [N, Q, C]."""
        query = content + position
        attended = self.self_attn(query, query, content, need_weights=False)[0]
        content = self.norm2(content + self.dropout(attended))
        for memory in memories:
            attended = self.cross_attn(content + position, reference, memory.tokens, memory.shapes, memory.padding)
            updated = self.norm1(content + self.dropout(attended))
            content = updated if memory.kept is None else torch.where(memory.kept[:, None, None], updated, content)
        hidden = self.dropout(F.relu(self.linear1(content)))
        return self.norm3(content + self.dropout(self.linear2(hidden)))


class DeformableDecoder(nn.Module):
    """A stack of layers; with `bbox_embed` set (one box head a layer) each layer's box is the next one's reference."""

    def __init__(self, layers: list[DeformableDecoderLayer]):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.bbox_embed: nn.ModuleList | None = None

    def forward(
        self, content: Tensor, position: Tensor, reference: Tensor, memories: tuple[Memory, ...]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Runs every layer; the last memory is the current frames'.

        content, position [N, Q, C]; reference [N, Q, 2] in [0, 1] of the unpadded frame
        returns per layer: content [N, Q, C], the reference that entered it and the one that leaves it ([N, Q, 2 or 4])
        """
        valid_ratios = memories[-1].valid_ratios[:, None]
        states = []
        for number, layer in enumerate(self.layers):
            scale = valid_ratios.repeat(1, 1, 1, reference.shape[-1] // 2)
            content = layer(content, position, reference[:, :, None] * scale, memories)
            entering = reference
            if self.bbox_embed is not None:
                reference = refine(self.bbox_embed[number](content), reference).detach()
            states.append((content, entering, reference))
        return states


def refine(correction: Tensor, reference: Tensor) -> Tensor:
    """A box head's output [..., 4] added to a reference point or box in logit space → boxes [..., 4] in [0, 1]."""
    logits = F.pad(inverse_sigmoid(reference), (0, 4 - reference.shape[-1]))
    return (at_least_float32(correction) + logits).sigmoid()


def inverse_sigmoid(x: Tensor, epsilon: float = 1e-5) -> Tensor:
    """log(x / (1 − x)), both sides kept at or above `epsilon`."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=epsilon) / (1 - x).clamp(min=epsilon))
