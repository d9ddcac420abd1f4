"""The small perceptron of the box head and the mask controller."""

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """`depth` linear layers with ReLU between them: [..., width] → [..., outputs]."""

    def __init__(self, width: int, hidden: int, outputs: int, depth: int):
        super().__init__()
        widths = [width] + [hidden] * (depth - 1) + [outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
