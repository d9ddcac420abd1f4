"""Deformable decoder: the sentence's queries look first at the reference, then at the current frame (spec §2, Decoder).

N = B·T frames, Q queries, C width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.structures import Memory

from .dropout import Dropout
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
        self.dropout = Dropout(dropout)

    def exchange(self, content: Tensor, position: Tensor) -> Tensor:
        """The frame's queries among themselves: content, position [N, Q, C] → [N, Q, C]."""
        query = content + position
        attended = self.self_attn(query, query, content, need_weights=False)[0]
        return self.norm2(content + self.dropout(attended))

    def look(self, content: Tensor, position: Tensor, reference: Tensor, memory: Memory) -> Tensor:
        """At a memory, near `reference` [N, Q, levels, 2 or 4] in [0, 1] of the padded maps → [N, Q, C]."""
        attended = self.cross_attn(content + position, reference, memory.tokens, memory.shapes, memory.padding)
        return self.norm1(content + self.dropout(attended))

    def digest(self, content: Tensor) -> Tensor:
        """Each query by itself: content [N, Q, C] → [N, Q, C]."""
        hidden = self.dropout(F.relu(self.linear1(content)))
        return self.norm3(content + self.dropout(self.linear2(hidden)))


class DeformableDecoder(nn.Module):
    """A stack of layers; with `bbox_embed` set (one box head a layer) each layer's box is the next one's reference.

    With `mid_reference` as well, the same head refines it once more before the look at the current frames, thus between
    the two memories, as the paper's figure has it (the released code does not).
    """

    def __init__(self, layers: list[DeformableDecoderLayer], *, mid_reference: bool = False):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.mid_reference = mid_reference
        self.bbox_embed: nn.ModuleList | None = None

    def forward(
        self, content: Tensor, position: Tensor, reference: Tensor, memories: tuple[Memory, ...]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Runs every layer; the last memory is the current frames'.

        content, position [N, Q, C]; reference [N, Q, 2] in [0, 1] of the unpadded frame
        returns per layer: content [N, Q, C], the reference of its look at the current frames and the one that leaves it
        ([N, Q, 2 or 4])
        """
        valid_ratios = memories[-1].valid_ratios[:, None]
        states = []
        for number, layer in enumerate(self.layers):
            content = layer.exchange(content, position)
            for memory in memories:
                if self.mid_reference and memory is memories[-1]:
                    reference = self._refined(number, content, reference)
                scale = valid_ratios.repeat(1, 1, 1, reference.shape[-1] // 2)
                content = layer.look(content, position, reference[:, :, None] * scale, memory)
            content = layer.digest(content)
            entering = reference
            if self.bbox_embed is not None:
                reference = self._refined(number, content, reference)
            states.append((content, entering, reference))
        return states

    def _refined(self, number: int, content: Tensor, reference: Tensor) -> Tensor:
        """[N, Q, 4]: what layer `number` makes of the reference; no gradient flows through it."""
        return refine(self.bbox_embed[number](content), reference).detach()


def refine(correction: Tensor, reference: Tensor) -> Tensor:
    """A box head's output [..., 4] added to a reference point or box in logit space → boxes [..., 4] in [0, 1]."""
    logits = F.pad(inverse_sigmoid(reference), (0, 4 - reference.shape[-1]))
    return (at_least_float32(correction) + logits).sigmoid()


def inverse_sigmoid(x: Tensor, epsilon: float = 1e-5) -> Tensor:
    """log(x / (1 − x)), both sides kept at or above `epsilon`."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=epsilon) / (1 - x).clamp(min=epsilon))
