"""A trained network, made ready to be used alone: the same function in fewer and faster steps.

Frozen batch norms go into convolutions, and convolutions work channels last. On a CPU with AMX, linear layers,
convolutions and attentions then run on packed weights (ops/functions/products.py).

With precision "bf16", the packed numbers have one term; elsewhere there is autocast (autocast_parts.py).
"""

from functools import partial, singledispatch

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from .autocast_parts import autocast_parts
from .backbone import ResNetPyramid
from .deformable_encoder import DeformableEncoderLayer
from .folded_norms import fold_frozen_norms
from .mlp import MLP
from .ops.functions import products
from .ops.modules.packed_layers import PackedAttention, PackedConv2d, PackedFeedForward, PackedLinear
from .pixel_decoder import ConvNorm
from .tf2 import TF2
from .vision_language import VisionLanguageBlock

FEWEST_CHANNELS = 16  # packed weights are filled up to 32
TERMS = {"fp32": 2, "bf16": 1}  # of packed numbers
SAMPLE = (1, 1, 3, 64, 96)  # a clip that every backbone takes


def speed_up(network: TF2, precision: str = "fp32") -> None:
    """Change a loaded network in place, for inference: with "fp32", its results stay the same, to some 1e-5.

    After this it cannot be trained, its state dict is no longer that of a checkpoint, and it stays where it is: load
    its weights, and move it to its device, before. It is not for autocast: "bf16" brings what is of use.
    """
    network.eval().requires_grad_(False)
    device = network.query_embed.weight.device
    for backbone in network.backbone:
        fold_frozen_norms(backbone, partial(backbone, torch.zeros(SAMPLE, device=device)))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    if device.type == "cpu" and products.available():
        packed(network, TERMS[precision])
    elif precision == "bf16":
        autocast_parts(network)


@singledispatch
def packed(module: nn.Module, terms: int) -> nn.Module:
    """What takes a module's place: one with packed weights, or itself with such children, as far as there are any.

    terms: of the packed numbers (ops/functions/products.py)
    """
    return _with_packed_children(module, terms)


def _with_packed_children(module: nn.Module, terms: int) -> nn.Module:
    for name, child in list(module.named_children()):
        setattr(module, name, packed(child, terms))
    return module


@packed.register
def _(layer: nn.Linear, terms: int) -> nn.Module:
    return PackedLinear(layer, terms) if _gains(layer) else layer


@packed.register
def _(heads: MLP, terms: int) -> nn.Module:
    return heads  # they read a few rows, and would gain nothing


@packed.register
def _(conv: nn.Conv2d, terms: int) -> nn.Module:
    return PackedConv2d(conv, terms) if type(conv) is nn.Conv2d and _gains(conv) else conv


@packed.register
def _(conv: ConvNorm, terms: int) -> nn.Module:
    return nn.Sequential(PackedConv2d(conv, terms), conv.norm) if _gains(conv) else conv


@packed.register
def _(attention: nn.MultiheadAttention, terms: int) -> nn.Module:
    one_width = attention.in_proj_weight is not None
    usual = attention.batch_first and attention.bias_k is None and not attention.add_zero_attn
    return PackedAttention(attention, terms) if one_width and usual and _gains(attention.out_proj) else attention


@packed.register(DeformableEncoderLayer)
@packed.register(VisionLanguageBlock)
def _(block: DeformableEncoderLayer | VisionLanguageBlock, terms: int) -> nn.Module:
    if isinstance(block.linear1, nn.Linear) and _gains(block.linear1) and _gains(block.linear2):
        block._feedforward = PackedFeedForward(block.linear1, block.linear2, terms).forward  # hides the class's method
        block.linear1 = block.linear2 = None
    return _with_packed_children(block, terms)


@packed.register
def _(resnet: ResNetPyramid, terms: int) -> nn.Module:
    if isinstance(resnet.bn1, nn.Identity) and isinstance(resnet.conv1, nn.Conv2d) and _gains(resnet.conv1):
        resnet.conv1, resnet.relu = PackedConv2d(resnet.conv1, terms, relu=True), nn.Identity()
    return _with_packed_children(resnet, terms)


@packed.register
def _(block: Bottleneck, terms: int) -> nn.Module:
    folded = all(isinstance(norm, nn.Identity) for norm in (block.bn1, block.bn2, block.bn3))
    return PackedBottleneck(block, terms) if folded and _gains(block.conv1) and _gains(block.conv2) else block


class PackedBottleneck(nn.Module):
    """A ResNet's block whose norms are folded."""

    def __init__(self, block: Bottleneck, terms: int):
        super().__init__()
        convs = (block.conv1, block.conv2, block.conv3)
        self.conv1, self.conv2, self.conv3 = (PackedConv2d(conv, terms, relu=True) for conv in convs)
        self.shortcut = nn.Identity() if block.downsample is None else PackedConv2d(block.downsample[0], terms)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, O, h, w]."""
        return self.conv3(self.conv2(self.conv1(x)), added=self.shortcut(x))


def _gains(layer: nn.Linear | nn.Conv2d) -> bool:
    """Whether there is a packed layer for this one, and a faster one."""
    weight = layer.weight
    if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros" or layer.padding == "same"):
        return False
    fits = weight.dtype == torch.float32 and weight.device.type == "cpu"
    return fits and min(len(weight), weight[0].numel()) >= FEWEST_CHANNELS
