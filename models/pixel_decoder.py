"""Cross-modal feature pyramid: encoder memory and words → mask features at stride 4 (spec §2)."""

import torch.nn.functional as F
from torch import Tensor, nn

from util.settings import ModelSettings
from util.structures import Level, Memory, Text

from .recompute import recomputed
from .vision_language import VisionLanguageBlock

GROUPS = 8


class ConvNorm(nn.Conv2d):
    """A convolution without bias, followed by group norm; Kaiming-uniform with a = 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(GROUPS, outputs)
        nn.init.kaiming_uniform_(self.weight, a=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class PixelDecoder(nn.Module):
    """Top-down over strides 32, 16, 8 (memory) and 4 (backbone).

    Level numbers in the parameter names count from the finest: 1 is stride 4, 4 is stride 32.
    """

    def __init__(self, settings: ModelSettings, stride4_channels: int):
        super().__init__()
        width = settings.hidden_dim
        channels = {1: stride4_channels, 2: width, 3: width, 4: width}
        for number, inputs in channels.items():
            self.add_module(f"adapter_{number}", ConvNorm(inputs, width, 1))
            self.add_module(f"layer_{number}", ConvNorm(width, width, 3))
            block = VisionLanguageBlock(settings, subsampling=2 ** (4 - number))
            self.add_module(f"cross_attn_{number}", block)
        self.recompute = False  # whole blocks in the backward pass
        self.mask_features = nn.Conv2d(width, settings.mask_dim, 3, padding=1)
        nn.init.kaiming_uniform_(self.mask_features.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)

    def forward(self, levels: list[Level], memory: Memory, text: Text) -> Tensor:
        """The current frames' levels (TF2.extract_levels) and memory → mask features [B·T, mask_dim, H/4, W/4]."""
        stride4, *coarser_levels = levels
        remembered = [level.with_features(m) for level, m in zip(coarser_levels, memory.maps(), strict=True)]
        pyramid = [stride4, *remembered[:3]]
        coarser = None
        for number in (4, 3, 2, 1):
            level = pyramid[number - 1]
            adapted = level.with_features(getattr(self, f"adapter_{number}")(level.features))
            block = getattr(self, f"cross_attn_{number}")
            features = recomputed(block, adapted, text) if self.recompute else block(adapted, text)
            if coarser is not None:
                features = plus_upsampled(features, coarser)
            coarser = F.relu(getattr(self, f"layer_{number}")(features), inplace=True)
        return self.mask_features(coarser)


def plus_upsampled(fine: Tensor, coarse: Tensor) -> Tensor:
    """fine [N, C, h, w] + coarse [N, C, h', w'], brought to that size by repeating the nearest pixel."""
    if fine.shape[-2:] != tuple(2 * length for length in coarse.shape[-2:]):
        return fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
    fours = fine.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # each of coarse's pixels is four; it is not written out
    return (fours + coarse[:, :, :, None, :, None]).flatten(4).flatten(2, 3)
