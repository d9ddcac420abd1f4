"""A Swin block for inference on a CPU: packed weights, and fewer passes over its tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops.modules.packed_layers import PackedLinear, PackedMlp
from .swin_transformer import SwinBlock, Windows


class PackedSwinBlock(nn.Module):
    """Computes what the block does. Sums and the GELU are part of products; tokens are projected where they belong."""

    def __init__(self, block: SwinBlock, terms: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attention = block.norm1, block.norm2, block.attn
        self.qkv, self.proj = (PackedLinear(layer, terms) for layer in (block.attn.qkv, block.attn.proj))
        block.attn.qkv = block.attn.proj = None
        self.mlp = PackedMlp(block.mlp.fc1, block.mlp.fc2, terms)

    def forward(self, x: Tensor, windows: Windows, mask: Tensor | None) -> Tensor:
        """As SwinBlock.forward."""
        attended = self._attend(windows.split(self.norm1(x)), mask)
        x = self.proj(windows.join(attended, x.shape[1:-1]), added=x)
        return self.mlp(self.norm2(x), added=x)

    def _attend(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """windows [N·M, P, C], mask [M, P, P] or None -> [N·M, P, C], not yet projected."""
        scores = self.attention.position_bias(windows.shape[1]).unsqueeze(0)
        if mask is not None:
            # Beside a score of its own region, one with -100 has a weight of some 4e-44, which float32 sums do not
            # feel; but it is a denormal number, and with those a processor multiplies many times more slowly.
            apart = torch.zeros_like(mask).masked_fill_(mask < 0, -torch.inf)
            scores = (scores + apart.unsqueeze(1)).repeat(len(windows) // len(mask), 1, 1, 1)
        heads = self.attention.heads(self.qkv(windows))
        return F.scaled_dot_product_attention(*heads, attn_mask=scores).transpose(1, 2).flatten(2)
