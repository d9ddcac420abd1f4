"""Swin Transformer (Liu et al., ICCV 2021): attention in shifted windows, four levels of strides 4, 8, 16 and 32.

What it shares with Video-Swin is written once, for windows of any number of axes.

Letters: N images or clips, C channels, P tokens of one window, M windows of one map. Tokens are kept channels-last,
[N, *grid, C], where grid is (h, w) for images and (t, h, w) for clips.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Axes = tuple[int, ...]
"""One number per axis of a grid."""


@dataclass(frozen=True)
class SwinConfig:
    """Sizes of one released network; tuples have one entry per stage."""

    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    drop_path: float

    @property
    def dims(self) -> list[int]:
        """Channels of the stages: they double at each."""
        return [self.embed_dim * 2**stage for stage in range(len(self.depths))]


SWIN_CONFIGS = {
    "swin_t_p4w7": SwinConfig(96, (2, 2, 6, 2), (3, 6, 12, 24), 0.2),
    "swin_s_p4w7": SwinConfig(96, (2, 2, 18, 2), (3, 6, 12, 24), 0.2),
    "swin_b_p4w7": SwinConfig(128, (2, 2, 18, 2), (4, 8, 16, 32), 0.3),
    "swin_l_p4w7": SwinConfig(192, (2, 2, 18, 2), (6, 12, 24, 48), 0.3),
}
WINDOW = (7, 7)
MASKED = -100.0  # added to a score rather than minus infinity, as the released weights were trained


@dataclass(frozen=True)
class Windows:
    """How a map is cut into windows: their size, and how far the map is rolled before the cut, along each axis."""

    size: Axes
    shift: Axes

    def padded(self, grid: Axes) -> Axes:
        """The size of a map rounded up to whole windows."""
        return tuple(math.ceil(length / size) * size for length, size in zip(grid, self.size, strict=True))

    def split(self, x: Tensor) -> Tensor:
        """Pad with zeros, roll and cut: [N, *grid, C] -> [N·M, P, C]."""
        axes = len(self.size)
        missing = [whole - length for whole, length in zip(self.padded(x.shape[1:-1]), x.shape[1:-1], strict=True)]
        x = F.pad(x, (0, 0, *(amount for last in reversed(missing) for amount in (0, last))))
        if any(self.shift):
            x = x.roll([-shift for shift in self.shift], dims=list(range(1, axes + 1)))
        for axis in reversed(range(axes)):  # [N, count, size, count, size, ..., C]
            x = x.unflatten(axis + 1, (-1, self.size[axis]))
        x = x.permute(0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), -1)  # [N, *counts, *size, C]
        return x.reshape(-1, math.prod(self.size), x.shape[-1])

    def join(self, windows: Tensor, grid: Axes) -> Tensor:
        """Undo `split`: [N·M, P, C] -> [N, *grid, C]."""
        axes, padded = len(self.size), self.padded(grid)
        counts = [whole // size for whole, size in zip(padded, self.size, strict=True)]
        x = windows.reshape(-1, *counts, *self.size, windows.shape[-1])
        x = x.permute(0, *(place for axis in range(axes) for place in (1 + axis, 1 + axes + axis)), -1)
        x = x.reshape(-1, *padded, windows.shape[-1])
        if any(self.shift):
            x = x.roll(self.shift, dims=list(range(1, axes + 1)))
        return x[(slice(None), *(slice(length) for length in grid))]

    def mask(self, grid: Axes, like: Tensor) -> Tensor | None:
        """Scores to add so that tokens rolled in from the far edge attend only among themselves: [M, P, P]."""
        if not any(self.shift):
            return None
        padded = self.padded(grid)
        region = torch.zeros(1, *padded, 1, device=like.device)
        for axis, (length, shift) in enumerate(zip(padded, self.shift, strict=True)):
            region.narrow(axis + 1, length - shift, shift).add_(2**axis)
        region = Windows(self.size, (0,) * len(self.size)).split(region).squeeze(-1)  # [M, P]
        apart = region.unsqueeze(1) != region.unsqueeze(2)
        return torch.zeros_like(apart, dtype=like.dtype).masked_fill_(apart, MASKED)


def relative_position_index(window: Axes) -> Tensor:
    """Row of the bias table for each pair (query, key) of a window's tokens: [P, P]."""
    places = torch.cartesian_prod(*(torch.arange(size) for size in window))  # [P, axes]
    offsets = places.unsqueeze(1) - places.unsqueeze(0)  # [P, P, axes], from -(size - 1) to size - 1
    index = torch.zeros(offsets.shape[:2], dtype=torch.long)
    for axis, size in enumerate(window):
        index = index * (2 * size - 1) + offsets[..., axis] + size - 1
    return index


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with a learned bias per relative position (Swin, eq. 4)."""

    def __init__(self, dim: int, num_heads: int, window: Axes) -> None:
        super().__init__()
        self.num_heads = num_heads
        offsets = math.prod(2 * size - 1 for size in window)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, num_heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def position_bias(self, tokens: int) -> Tensor:
        """[heads, P, P]. A smaller window reads the first P rows and columns of the full window's index.

        That misplaces the bias where the height or width shrank; the released Video-Swin does so, and we keep it.
        """
        index = self.relative_position_index[:tokens, :tokens]
        return self.relative_position_bias_table[index].permute(2, 0, 1)

    def heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., P, 3C] -> queries, keys and values, each [..., heads, P, C / heads]."""
        return qkv.unflatten(-1, (3, self.num_heads, -1)).movedim(-3, 0).transpose(-3, -2).unbind()

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Attend: windows [N·M, P, C], mask [M, P, P] or None -> [N·M, P, C]."""
        query, key, value = self.heads(self.qkv(windows))
        scores = query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1) + self.position_bias(windows.shape[1])
        if mask is not None:  # [N·M, heads, P, P] + [M, 1, P, P]
            scores = (scores.unflatten(0, (-1, len(mask))) + mask.unsqueeze(1)).flatten(0, 1)
        attended = scores.softmax(dim=-1) @ value
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU between, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Windowed attention, then an MLP, each after a layer norm and with a residual (Swin, eq. 3)."""

    def __init__(self, dim: int, num_heads: int, window: Axes, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor, windows: Windows, mask: Tensor | None) -> Tensor:
        """[N, *grid, C] -> [N, *grid, C]."""
        attended = self.attn(windows.split(self.norm1(x)), mask)
        x = x + self.drop_path(windows.join(attended, x.shape[1:-1]))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """Halve height and width: four neighbouring tokens become one with twice the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., h, w, C] -> [..., ⌈h/2⌉, ⌈w/2⌉, 2C]."""
        height, width = x.shape[-3:-1]
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = [x[..., row::2, column::2, :] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class PatchEmbed(nn.Module):
    """Cut images or clips into patches of 4×4 pixels and project each to a token, by the given convolution."""

    def __init__(self, projection: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.proj = projection
        self.norm = nn.LayerNorm(projection.out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, ..., H, W] -> [N, ..., ⌈H/4⌉, ⌈W/4⌉, C]."""
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % 4, 0, -height % 4))
        return self.norm(self.proj(images).movedim(1, -1))


class Stage(nn.Module):
    """Blocks of one resolution, by turns with plain and with shifted windows."""

    def __init__(self, blocks: list[SwinBlock], window: Axes, use_checkpoint: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.window = window
        self.use_checkpoint = use_checkpoint

    def layouts(self, grid: Axes) -> tuple[Windows, Windows]:
        """Plain and shifted windows for a map: the shift stays even where a single window covers the map."""
        return Windows(self.window, (0,) * len(grid)), Windows(self.window, tuple(size // 2 for size in self.window))

    def forward(self, x: Tensor) -> Tensor:
        """[N, *grid, C] -> [N, *grid, C]."""
        grid = tuple(x.shape[1:-1])
        layouts = [(windows, windows.mask(grid, like=x)) for windows in self.layouts(grid)]
        for index, block in enumerate(self.blocks):
            if self.use_checkpoint and torch.is_grad_enabled():
                x = checkpoint(block, x, *layouts[index % 2], use_reentrant=False)
            else:
                x = block(x, *layouts[index % 2])
        return x


def build_stages(config: SwinConfig, window: Axes, use_checkpoint: bool, kind: type[Stage] = Stage) -> nn.ModuleList:
    """The stages of a network, with the drop path rising linearly from 0 at the first block of all to the last."""
    last = sum(config.depths) - 1
    rates = iter([config.drop_path * block / last for block in range(last + 1)])
    stages = nn.ModuleList()
    for dim, depth, num_heads in zip(config.dims, config.depths, config.num_heads, strict=True):
        blocks = [SwinBlock(dim, num_heads, window, next(rates)) for _ in range(depth)]
        stages.append(kind(blocks, window, use_checkpoint))
    return stages


def initialise(module: nn.Module) -> None:
    """Start linear weights and bias tables from a truncated normal and biases from 0; for `nn.Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)


class SwinTransformer(nn.Module):
    """The 2-D network: frames are seen one by one. Each level leaves through a layer norm of its own."""

    def __init__(self, config: SwinConfig, use_checkpoint: bool = False) -> None:
        super().__init__()
        self.num_channels = config.dims
        self.patch_embed = PatchEmbed(nn.Conv2d(3, config.embed_dim, kernel_size=4, stride=4))
        self.layers = build_stages(config, WINDOW, use_checkpoint)
        for stage, dim in zip(self.layers[:-1], config.dims[:-1], strict=True):
            stage.downsample = PatchMerging(dim)
        for level, dim in enumerate(config.dims):
            self.add_module(f"norm{level}", nn.LayerNorm(dim))
        self.apply(initialise)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images [N, 3, H, W] -> levels [N, C_l, ⌈H/s⌉, ⌈W/s⌉] of strides s = 4, 8, 16, 32."""
        x = self.patch_embed(images)
        levels = []
        for level, stage in enumerate(self.layers):
            x = stage(x)
            # The norm is for the level that leaves, not for what flows on.
            levels.append(self.get_submodule(f"norm{level}")(x).movedim(-1, 1).contiguous())
            if level + 1 < len(self.layers):
                x = stage.downsample(x)
        return levels


def imagenet_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's entries in a released ImageNet file: without the classifier and the norm before it."""
    return {key: value for key, value in weights.items() if not key.startswith(("head.", "norm."))}
