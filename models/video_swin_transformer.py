"""Video-Swin Transformer (Liu et al., CVPR 2022): Swin with windows that also span the frames of a clip.

Letters as in swin_transformer.py; B clips of T frames.
"""

import re

from torch import Tensor, nn

from .swin_transformer import (
    Axes,
    PatchEmbed,
    PatchMerging,
    Stage,
    SwinConfig,
    Windows,
    build_stages,
    initialise,
)

VIDEO_SWIN_CONFIGS = {
    "video_swin_t_p4w7": SwinConfig(96, (2, 2, 6, 2), (3, 6, 12, 24), 0.2),
    "video_swin_s_p4w7": SwinConfig(96, (2, 2, 18, 2), (3, 6, 12, 24), 0.2),
    "video_swin_b_p4w7": SwinConfig(128, (2, 2, 18, 2), (4, 8, 16, 32), 0.2),
}
VIDEO_WINDOW = (8, 7, 7)


class VideoStage(Stage):
    """A stage whose windows shrink to the clip along every axis that is no longer than they are."""

    def layouts(self, grid: Axes) -> tuple[Windows, Windows]:
        """Plain and shifted windows for a clip; an axis that one window covers is not shifted."""
        axes = list(zip(grid, self.window, strict=True))
        size = tuple(min(length, window) for length, window in axes)
        shift = tuple(window // 2 if length > window else 0 for length, window in axes)
        return Windows(size, (0,) * len(grid)), Windows(size, shift)


class VideoSwinTransformer(nn.Module):
    """The 3-D network: a clip is seen as a whole. Its levels are the stages' outputs as they are, without a norm."""

    def __init__(self, config: SwinConfig, use_checkpoint: bool = False) -> None:
        super().__init__()
        self.num_channels = config.dims
        self.patch_embed = PatchEmbed(nn.Conv3d(3, config.embed_dim, kernel_size=(1, 4, 4), stride=(1, 4, 4)))
        self.layers = build_stages(config, VIDEO_WINDOW, use_checkpoint, VideoStage)
        self.downsamples = nn.ModuleList(PatchMerging(dim) for dim in config.dims[:-1])
        self.apply(initialise)

    def forward(self, clips: Tensor) -> list[Tensor]:
        """clips [B, 3, T, H, W] -> levels [B, C_l, T, ⌈H/s⌉, ⌈W/s⌉] of strides s = 4, 8, 16, 32."""
        x = self.patch_embed(clips)
        levels = []
        for level, stage in enumerate(self.layers):
            x = stage(x)
            levels.append(x.movedim(-1, 1).contiguous())
            if level < len(self.downsamples):
                x = self.downsamples[level](x)
        return levels


def kinetics_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's entries in a released Kinetics file, under this network's names.

    The classifier (`cls_head.`) and the last norm go. The file's patches span two frames and ours one, so that weight
    is summed over time: a still clip then gives the same tokens. The file keeps each merging inside its stage.
    """
    prefix = "backbone."
    entries = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    entries = {key: value for key, value in entries.items() if not key.startswith("norm.")}
    if "patch_embed.proj.weight" in entries:
        entries["patch_embed.proj.weight"] = entries["patch_embed.proj.weight"].sum(dim=2, keepdim=True)
    return {re.sub(r"^layers\.(\d)\.downsample\.", r"downsamples.\1.", key): value for key, value in entries.items()}
