"""A trained network, made ready to be used alone: the same function in fewer and faster steps.

Frozen batch norms go into convolutions, convolutions work channels last, and the last one before the masks becomes part
of the mask head. On a CPU, linear layers, convolutions and attentions then run on packed weights, as its processor does
it best (ops/functions/fastest_products.py).

With precision "bf16", the packed numbers have one term, but in narrow convolutions; elsewhere there is autocast
(autocast_parts.py).
"""

from functools import partial, singledispatch

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from util.memory import keep_freed_memory
from util.structures import Text

from .autocast_parts import autocast_parts
from .backbone import ResNetPyramid
from .channels_last import convolve_channels_last
from .composed_mask_head import ComposedMaskHead
from .deformable_encoder import DeformableEncoderLayer
from .folded_norms import fold_frozen_norms
from .mlp import MLP
from .ops.functions import fastest_products, fused_attention
from .ops.modules import FusedDeformAttn, MSDeformAttn
from .ops.modules.packed_layers import PackedAttention, PackedConv2d, PackedFeedForward, PackedLinear
from .packed_swin_block import PackedSwinBlock
from .pixel_decoder import ConvNorm
from .swin_transformer import SwinBlock
from .tf2 import TF2
from .vision_language import VisionLanguageBlock

FEWEST_CHANNELS = 16  # packed weights are filled up to 32
# Narrower convolutions keep two terms: memory decides how long they take, not products, and they come early, where
# rounding does the most harm.
FEWEST_ROUNDED = 64
TERMS = {"fp32": 2, "bf16": 1}  # of packed numbers
SAMPLE = (1, 1, 3, 64, 96)  # a clip that every backbone takes


def speed_up(network: TF2, precision: str = "fp32") -> None:
    """Change a loaded network in place, for inference: with "fp32", its results stay the same, to some 1e-5.

    After this it cannot be trained, its state dict is no longer that of a checkpoint, and it stays where it is: load
    its weights, and move it to its device, before. It is not for autocast: "bf16" brings what is of use. On the CPU,
    the process keeps the memory that it frees (util/memory.py).
    """
    network.eval().requires_grad_(False)
    device = network.query_embed.weight.device
    for backbone in network.backbone:
        fold_frozen_norms(backbone, partial(backbone, torch.zeros(SAMPLE, device=device)))
    convolve_channels_last(network)
    on_cpu = device.type == "cpu"
    if on_cpu:
        keep_freed_memory()
    packable = on_cpu and fastest_products.available(TERMS[precision])
    compose_mask_head(network, TERMS[precision] if packable else None)
    if precision == "bf16" and not packable:
        autocast_parts(network)
        return
    if fused_attention.available():
        fuse_attentions(network)
    if packable:
        packed(network, TERMS[precision])


def compose_mask_head(network: TF2, terms: int | None) -> None:
    """Let the mask head do the pixel decoder's last convolution, as far as a query's first layer needs it."""
    convolution = network.pixel_decoder.mask_features
    if isinstance(convolution, nn.Conv2d):
        plain = terms is None or not _is_plain_float(convolution.weight)
        network.mask_head = ComposedMaskHead(network.mask_head, convolution, None if plain else terms)
        network.pixel_decoder.mask_features = nn.Identity()


def fuse_attentions(module: nn.Module) -> None:
    """Put FusedDeformAttn into the place of every MSDeformAttn that it can stand for."""
    for name, child in list(module.named_children()):
        if isinstance(child, MSDeformAttn) and _is_plain_float(child.value_proj.weight):
            setattr(module, name, FusedDeformAttn(child))
        else:
            fuse_attentions(child)


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


@packed.register(MLP)
@packed.register(ComposedMaskHead)
def _(module: nn.Module, terms: int) -> nn.Module:
    return module  # the former read a few rows, and would gain nothing; the latter packs its weights when it has them


@packed.register
def _(conv: nn.Conv2d, terms: int) -> nn.Module:
    return PackedConv2d(conv, _terms(conv, terms)) if type(conv) is nn.Conv2d and _gains(conv) else conv


@packed.register
def _(conv: ConvNorm, terms: int) -> nn.Module:
    return nn.Sequential(PackedConv2d(conv, _terms(conv, terms)), conv.norm) if _gains(conv) else conv


@packed.register
def _(attention: nn.MultiheadAttention, terms: int) -> nn.Module:
    one_width = attention.in_proj_weight is not None
    usual = attention.batch_first and attention.bias_k is None and not attention.add_zero_attn
    return PackedAttention(attention, terms) if one_width and usual and _gains(attention.out_proj) else attention


@packed.register
def _(block: VisionLanguageBlock, terms: int) -> nn.Module:
    """Its steps are hidden behind those that take their sums and norms into the products."""
    if _all_gain(block.linear1, block.linear2):
        digest = PackedFeedForward(block.linear1, block.linear2, block.norm3, terms)
        block._digest = digest.forward
        block.linear1 = block.linear2 = None
    _with_packed_children(block, terms)
    if isinstance(block.multihead_attn, PackedAttention):
        block._read = partial(_read_packed, block)
    return block


def _read_packed(block: VisionLanguageBlock, x: Tensor, query: Tensor, text: Text) -> Tensor:
    """As VisionLanguageBlock._read."""
    words = block.multihead_attn.words
    if not words.fits(query, text.words):
        return VisionLanguageBlock._read(block, x, query, text)
    return words(query, text.keys, text.words, text.padding, added=x, norm=block.norm2)


@packed.register
def _(layer: DeformableEncoderLayer, terms: int) -> nn.Module:
    attention = layer.self_attn
    fits = isinstance(attention, FusedDeformAttn) and _all_gain(attention.output_proj, layer.linear1, layer.linear2)
    return PackedEncoderLayer(layer, terms) if fits else _with_packed_children(layer, terms)


class PackedEncoderLayer(nn.Module):
    """An encoder's layer whose sums and norms are part of the products."""

    def __init__(self, layer: DeformableEncoderLayer, terms: int):
        super().__init__()
        self.attention, self.norm = _with_packed_children(layer.self_attn, terms), layer.norm1
        self.digest = PackedFeedForward(layer.linear1, layer.linear2, layer.norm2, terms)

    def forward(
        self, tokens: Tensor, position: Tensor, reference: Tensor, shapes: list[tuple[int, int]], padding: Tensor
    ) -> Tensor:
        """As DeformableEncoderLayer.forward."""
        looked = self.attention.look(tokens + position, reference, tokens, shapes, padding)
        return self.digest(self.attention.output_proj(looked, added=tokens, norm=self.norm))


@packed.register
def _(block: SwinBlock, terms: int) -> nn.Module:
    fits = _all_gain(block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2)
    return PackedSwinBlock(block, terms) if fits else _with_packed_children(block, terms)


@packed.register
def _(resnet: ResNetPyramid, terms: int) -> nn.Module:
    if isinstance(resnet.bn1, nn.Identity) and isinstance(resnet.conv1, nn.Conv2d) and _gains(resnet.conv1):
        resnet.conv1, resnet.relu = PackedConv2d(resnet.conv1, _terms(resnet.conv1, terms), relu=True), nn.Identity()
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


def _terms(conv: nn.Conv2d, terms: int) -> int:
    """How many its numbers have: as wanted, unless it is narrow."""
    return terms if min(conv.weight.shape[:2]) >= FEWEST_ROUNDED else max(TERMS.values())


def _all_gain(*layers: nn.Module | None) -> bool:
    return all(isinstance(layer, nn.Linear) and _gains(layer) for layer in layers)


def _gains(layer: nn.Linear | nn.Conv2d) -> bool:
    """Whether there is a packed layer for this one, and a faster one."""
    weight = layer.weight
    if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros" or layer.padding == "same"):
        return False
    return _is_plain_float(weight) and min(len(weight), weight[0].numel()) >= FEWEST_CHANNELS


def _is_plain_float(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu"
