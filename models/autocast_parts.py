"""Inference in bfloat16 by autocast, where there are no packed layers: from the backbone's maps to the masks' features.

The sentence, and the queries with their scores and boxes, cost little and decide much: they stay float32. So does the
backbone: rounded between all of its layers, it alone would lose more of the masks than all the rest.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .precision import at_least_float32
from .tf2 import TF2


class Autocast(nn.Module):
    """A part of a network under autocast to bfloat16; what comes out is float32 again."""

    def __init__(self, part: nn.Module, device: torch.device):
        super().__init__()
        self.part, self.device = part, device

    def forward(self, *inputs: Any) -> Tensor | list[Tensor]:
        """As the part's."""
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.part(*inputs)
        return at_least_float32(output) if isinstance(output, Tensor) else [at_least_float32(x) for x in output]


def autocast_parts(network: TF2) -> None:
    """Change a network in place, for inference on the device where it is."""
    device = network.query_embed.weight.device
    network.input_proj = Autocast(network.input_proj, device)
    network.fusion_module = Autocast(network.fusion_module, device)
    network.transformer.encoder = Autocast(network.transformer.encoder, device)
    network.pixel_decoder = Autocast(network.pixel_decoder, device)
