"""A backbone by name: frames in, four levels of strides 4, 8, 16 and 32 out (spec §2, Backbone).

Letters: B clips of T frames, N = B·T images, C_l channels of level l, s its stride.
"""

import difflib
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import timm
import torch
import torch.nn.functional as F
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.models import ResNet, ResNet50_Weights, ResNet101_Weights
from torchvision.ops import FrozenBatchNorm2d

from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint
from util.errors import InputError

from .frozen_bottleneck import FrozenBottleneck
from .swin_transformer import SWIN_CONFIGS, SwinTransformer, imagenet_weights
from .video_swin_transformer import VIDEO_SWIN_CONFIGS, VideoSwinTransformer, kinetics_weights

STRIDES = (4, 8, 16, 32)
RESNETS = {
    "resnet50": ([3, 4, 6, 3], ResNet50_Weights.IMAGENET1K_V1),  # blocks of each stage
    "resnet101": ([3, 4, 23, 3], ResNet101_Weights.IMAGENET1K_V1),
}
TIMM = "timm:"
RANDOM = "random"
# Buffers of files that a network here computes for itself or has no use for.
COMPUTED = ("relative_position_index", "attn_mask", "num_batches_tracked")

Weights = dict[str, Tensor]
Fetched = TypeVar("Fetched")


class Backbone(nn.Module):
    """Frames of clips → four levels per frame, whichever network does it."""

    def __init__(self, body: nn.Module, dilation: bool = False) -> None:
        super().__init__()
        self.body = body
        self.coarsest_stride = STRIDES[-2 if dilation else -1]
        self.num_channels: list[int] = body.num_channels

    def forward(self, clip: Tensor) -> list[Tensor]:
        """clip [B, T, 3, H, W] → levels [B·T, C_l, ⌈H/s⌉, ⌈W/s⌉]."""
        if isinstance(self.body, VideoSwinTransformer):
            levels = self.body(clip.transpose(1, 2))  # [B, C_l, T, h, w]
            return [level.transpose(1, 2).flatten(0, 1) for level in levels]
        return self.body(clip.flatten(0, 1))


def build_backbone(
    name: str,
    pretrained: str | None,
    *,
    train: bool = True,
    dilation: bool = False,
    use_checkpoint: bool = False,
) -> Backbone:
    """The backbone called `name`, with its weights.

    name: resnet50|101, swin_{t,s,b,l}_p4w7, video_swin_{t,s,b}_p4w7 or timm:NAME
    pretrained: a file; `random` for none; None for the library's ImageNet weights
    train: False freezes all of it; a ResNet's stem and layer1 never train
    dilation: a ResNet's last stage dilates instead of halving the size
    use_checkpoint: trade time for memory in training

    Raises InputError for an unknown name and for weights that are not to be had or do not fit.
    """
    if dilation and name not in RESNETS:
        raise InputError(f"--dilation does not go with --backbone {name}: it is for {' and '.join(RESNETS)}")
    if name in RESNETS:
        body = _build_resnet(name, pretrained, dilation, use_checkpoint)
    elif name in SWIN_CONFIGS or name in VIDEO_SWIN_CONFIGS:
        body = _build_swin(name, pretrained, use_checkpoint)
    elif name.startswith(TIMM):
        body = _build_timm(name.removeprefix(TIMM), pretrained, use_checkpoint)
    else:
        known = [*RESNETS, *SWIN_CONFIGS, *VIDEO_SWIN_CONFIGS]
        raise InputError(f"--backbone {name} is unknown: give one of {', '.join(known)} or {TIMM}NAME")
    if not train:
        body.requires_grad_(False)
    return Backbone(body, dilation)


# ---- ResNet


class ResNetPyramid(nn.Module):
    """A torchvision ResNet without its classifier, under torchvision's names."""

    def __init__(self, resnet: ResNet, use_checkpoint: bool = False) -> None:
        super().__init__()
        self.num_channels = [256, 512, 1024, 2048]
        self.use_checkpoint = use_checkpoint
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(name, getattr(resnet, name))

    def forward(self, images: Tensor) -> list[Tensor]:
        """images [N, 3, H, W] → levels [N, C_l, ⌈H/s⌉, ⌈W/s⌉]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        levels = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            if self.use_checkpoint and torch.is_grad_enabled():
                x = checkpoint(layer, x, use_reentrant=False)
            else:
                x = layer(x)
            levels.append(x)
        return levels


def _build_resnet(name: str, pretrained: str | None, dilation: bool, use_checkpoint: bool) -> ResNetPyramid:
    depths, released = RESNETS[name]
    steps = {"norm_layer": FrozenBatchNorm2d, "replace_stride_with_dilation": [False, False, dilation]}
    resnet = ResNet(FrozenBottleneck, depths, **steps)
    body = ResNetPyramid(resnet, use_checkpoint)
    if pretrained is None:
        weights = _fetch(name, lambda: released.get_state_dict(progress=False, check_hash=True))
        _load(body, _without_classifier(weights), released.url)
    elif pretrained != RANDOM:
        _load(body, _without_classifier(_read(pretrained)), pretrained)
    for module in (body.conv1, body.bn1, body.layer1):
        module.requires_grad_(False)
    return body


def _without_classifier(weights: Weights) -> Weights:
    return {key: value for key, value in weights.items() if not key.startswith("fc.")}


# ---- Swin and Video-Swin


def _build_swin(name: str, pretrained: str | None, use_checkpoint: bool) -> SwinTransformer | VideoSwinTransformer:
    if pretrained is None:
        raise InputError(f"the weights of {name} cannot be fetched: give --backbone_pretrained FILE, or `random`")
    if name in SWIN_CONFIGS:
        body, adapt = SwinTransformer(SWIN_CONFIGS[name], use_checkpoint), imagenet_weights
    else:
        body, adapt = VideoSwinTransformer(VIDEO_SWIN_CONFIGS[name], use_checkpoint), kinetics_weights
    if pretrained != RANDOM:
        _load(body, adapt(_read(pretrained)), pretrained, fresh=("norm0.", "norm1.", "norm2.", "norm3."))
    return body


# ---- timm


class TimmPyramid(nn.Module):
    """Any timm network that has levels of strides 4, 8, 16 and 32.

    Some round sizes down where the others here round up. So images are padded to whole strides of 32 first and the
    levels cut back: no pixel is without a feature. Batch norms are frozen because a batch is a clip or two.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        last_of = {reduction: index for index, reduction in enumerate(net.feature_info.reduction())}
        self.taps = [last_of[stride] for stride in STRIDES]
        self.num_channels = [net.feature_info.channels()[tap] for tap in self.taps]
        self.channels_last = getattr(net, "output_fmt", "NCHW") == "NHWC"
        self.net = freeze_batch_norm_2d(net).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images [N, 3, H, W] → levels [N, C_l, ⌈H/s⌉, ⌈W/s⌉]."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % STRIDES[-1], 0, -height % STRIDES[-1]))
        maps = self.net(padded.contiguous(memory_format=torch.channels_last))
        levels = [maps[tap].movedim(-1, 1) if self.channels_last else maps[tap] for tap in self.taps]
        return [
            level[..., : math.ceil(height / stride), : math.ceil(width / stride)].contiguous()
            for level, stride in zip(levels, STRIDES, strict=True)
        ]


def _build_timm(name: str, pretrained: str | None, use_checkpoint: bool) -> TimmPyramid:
    net = _create_timm(name)
    _refuse_unfit(net, name)
    if pretrained is None:  # only now, so that nothing is fetched for a network that is of no use
        net = _fetch(TIMM + name, lambda: _new_timm(name, pretrained=True))
    body = TimmPyramid(net)
    if pretrained not in (None, RANDOM):
        _load(body.net, timm_weights(_read(pretrained), name, body.net), pretrained)
    if use_checkpoint:
        _checkpoint_timm(body.net, name)
    return body


def _create_timm(name: str) -> nn.Module:
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models())
        hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() names all"
        raise InputError(f"--backbone {TIMM}{name}: timm {timm.__version__} knows no such network: {hint}")
    try:
        return _new_timm(name, pretrained=False)
    except RuntimeError as error:
        raise InputError(f"--backbone {TIMM}{name} cannot be used: {_first_line(error)}; give another one") from error


def _new_timm(name: str, pretrained: bool) -> nn.Module:
    try:  # the Swins of timm take one image size unless told otherwise; the others do not know the argument
        return timm.create_model(name, pretrained=pretrained, features_only=True, strict_img_size=False)
    except TypeError:
        return timm.create_model(name, pretrained=pretrained, features_only=True)


def _refuse_unfit(net: nn.Module, name: str) -> None:
    """Raise InputError for a network without the four strides, or for one that takes images of one size only."""
    strides = net.feature_info.reduction()
    if not set(STRIDES) <= set(strides):
        raise InputError(
            f"--backbone {TIMM}{name} has levels of strides {_listed(strides)}; strides {_listed(STRIDES)} are needed: "
            f"give a network with a pyramid, such as {TIMM}convnext_tiny"
        )
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, 64, 96))
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"--backbone {TIMM}{name} does not take frames of any size ({_first_line(error)}): "
            f"give another network, such as {TIMM}convnext_tiny"
        ) from error
    net.train()


def _checkpoint_timm(net: nn.Module, name: str) -> None:
    try:
        getattr(net, "model", net).set_grad_checkpointing(True)
    except (AttributeError, AssertionError) as error:
        raise InputError(f"--use_checkpoint does not go with --backbone {TIMM}{name}: leave it out") from error


def timm_weights(weights: Weights, name: str, net: nn.Module) -> Weights:
    """Entries of a timm file under the names of the feature network `net`.

    timm flattens one level of containers (`stages.0.` → `stages_0.`) or nests the whole network (`model.`). What only
    the whole network has, its classifier and the layers before it, goes; what it has not either stays, to be refused.
    """
    with torch.device("meta"):
        whole = timm.create_model(name).state_dict()
    own = net.state_dict()
    entries = {}
    for key, value in weights.items():
        places = (key, key.replace(".", "_", 1), f"model.{key}")
        place = next((place for place in places if place in own), None)
        if place is not None or key not in whole:
            entries[place or key] = value
    return entries


# ---- weights


def _fetch(name: str, fetch: Callable[[], Fetched]) -> Fetched:
    try:
        return fetch()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"the weights of {name} could not be fetched ({_first_line(error)}): "
            "check the connection, or give --backbone_pretrained FILE or `random`"
        ) from error


def _read(path: str) -> Weights:
    try:
        return read_checkpoint(path)["model"]
    except InputError as error:
        raise InputError(f"--backbone_pretrained {error}") from error


def _load(body: nn.Module, weights: Weights, source: str, fresh: tuple[str, ...] = ()) -> None:
    """Load all of `weights`, strictly; only entries of `body` whose names start as in `fresh` may keep their own."""
    weights = {key: value for key, value in weights.items() if not key.endswith(COMPUTED)}
    kept = {key: value for key, value in body.state_dict().items() if key.startswith(fresh)}
    try:
        load_weights(body, kept | weights)
    except InputError as error:
        raise InputError(f"--backbone_pretrained {source}: {error}; give the file of this backbone") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
