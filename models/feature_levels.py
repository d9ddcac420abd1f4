"""From the backbone's maps to the transformer's levels: the one place that knows levels (spec §2, Feature levels)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.structures import Level

from .position_encoding import sine_position_2d, unpadded_position_2d

GROUPS = 32
BACKBONE_LEVELS = 3  # res3, res4, res5


class FeatureProjection(nn.ModuleList):
    """res3, res4, res5 through 1×1 convolutions, each further level through a 3×3 stride-2 one; then group norm."""

    def __init__(self, channels: list[int], width: int, levels: int):
        """channels: of res3, res4, res5; levels: how many to make, at least those three."""
        strided = [(channels[-1] if i == 0 else width) for i in range(levels - len(channels))]
        convolutions = [nn.Conv2d(c, width, 1) for c in channels]
        convolutions += [nn.Conv2d(c, width, 3, stride=2, padding=1) for c in strided]
        super().__init__(nn.Sequential(conv, nn.GroupNorm(GROUPS, width)) for conv in convolutions)
        for conv in convolutions:
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """[N, C_l, h_l, w_l] of res3, res4, res5 → `levels` maps [N, width, h, w]."""
        levels = [project(x) for project, x in zip(list(self)[: len(maps)], maps, strict=True)]
        coarsest = maps[-1]
        for project in list(self)[len(maps) :]:
            coarsest = project(coarsest)
            levels.append(coarsest)
        return levels


def least_long_side(coarsest_stride: int, width: int, levels: int) -> int:
    """Pixels that a frame's longer side needs, after a backbone of that stride, for `levels` maps of `width` channels.

    A group norm needs two values a group: with one channel a group, no map may be a single pixel.
    """
    last_stride = coarsest_stride << (levels - BACKBONE_LEVELS)
    return last_stride + 1 if width == GROUPS else 1


def with_position(features: Tensor, padding: Tensor, width: int) -> Level:
    """A map [N, C, h, w] with its padding (nearest, from the frames' [N, H, W]) and position encoding of `width`."""
    shape = tuple(features.shape[-2:])
    small = F.interpolate(padding[:, None].float(), size=shape, mode="nearest")[:, 0].bool()
    if torch.is_inference_mode_enabled() and not small.any():  # training does not wait for a GPU's answer
        position = unpadded_position_2d(shape, width, features.device)
    else:
        position = sine_position_2d(small, width)
    return Level(features, small, position.to(features.dtype).expand(len(features), -1, -1, -1))
