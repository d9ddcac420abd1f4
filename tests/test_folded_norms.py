"""Frozen norms are folded where that is the same, and only there."""

import copy

import pytest
import torch
from test_inference_layers import count, stir, x
from timm.layers import Conv2dSame, FrozenBatchNormAct2d
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from models.folded_norms import FROZEN_NORMS, fold_frozen_norms


class Chain(nn.Module):
    """Modules one after the other, under names that tell nothing."""

    def __init__(self, *modules):
        super().__init__()
        self.parts = nn.ModuleDict({str(index): module for index, module in enumerate(modules)})

    def forward(self, maps):
        for index in range(len(self.parts)):
            maps = self.parts[str(index)](maps)
        return maps


def folded(network):
    """How many norms are left, and that the function stayed."""
    network, maps = stir(network).eval(), x(2, 8, 9, 9)
    with torch.no_grad():
        before = network(maps.clone())
        fold_frozen_norms(network, lambda: network(torch.zeros(1, 8, 9, 9)))
        torch.testing.assert_close(network(maps), before, rtol=1e-4, atol=1e-5)
    return count(network, *FROZEN_NORMS)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 3, bias=False, groups=4, dilation=2),
        Conv2dSame(8, 8, 3, stride=2, bias=False),
    ],
)
@pytest.mark.parametrize("norm", [FrozenBatchNorm2d(8), FrozenBatchNorm2d(8, eps=0.1), FrozenBatchNormAct2d(8)])
def test_norms_after_convolutions_are_folded(conv, norm):
    assert folded(Chain(copy.deepcopy(conv), copy.deepcopy(norm), nn.Conv2d(8, 8, 1), FrozenBatchNorm2d(8))) == 0


def test_a_norm_of_two_names_is_folded_under_both():
    network = Chain(nn.Conv2d(8, 8, 1), FrozenBatchNorm2d(8))
    network.same = network.parts["1"]
    assert folded(network) == 0


def test_other_norms_stay():
    conv, norm = nn.Conv2d(8, 8, 1), FrozenBatchNorm2d(8)
    assert folded(Chain(norm, conv)) == 1
    assert folded(Chain(conv, nn.ReLU(), norm)) == 1
    assert folded(Chain(conv, nn.ReLU(inplace=True), norm)) == 1  # the same tensor, changed
    assert folded(Chain(conv, norm, conv)) == 1  # the convolution's second output has no norm
    assert folded(Chain(conv, norm, norm)) == 1
    assert folded(Chain(conv, norm, conv, FrozenBatchNorm2d(8))) == 2
    assert folded(Chain(nn.ConvTranspose2d(8, 8, 1), norm)) == 1
