"""Where pixels meet words: early fusion, and the pixel decoder's vision-language block (spec §2)."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from util.settings import ModelSettings
from util.structures import Level, Text, each_repeated

from .dropout import Dropout
from .feedforward import feedforward


class EarlyFusion(nn.Module):
    """x ⊙ attention(x over the words); one module for all levels and both streams."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, features: Tensor, text: Text) -> Tensor:
        """[B·T, C, h, w] → the same; all frames of a clip share its words, so they are one sequence of queries."""
        height = features.shape[-2]
        pixels = rearrange(features, "(b t) c h w -> b (t h w) c", b=len(text.words))
        attended = self.multihead_attn(
            pixels, text.keys, text.words, key_padding_mask=text.padding, need_weights=False
        )[0]
        fused = pixels * attended
        return rearrange(fused, "b (t h w) c -> (b t) c h w", t=len(features) // len(fused), h=height)


class VisionLanguageBlock(nn.Module):
    """Self-attention over a clip's pixels, cross-attention to the words, FFN; all post-norm.

    The self-attention runs on every `subsampling`-th pixel of each axis, so that stride 4 stays affordable.
    """

    def __init__(self, settings: ModelSettings, subsampling: int):
        super().__init__()
        width, heads, dropout = settings.hidden_dim, settings.nheads, settings.pixel_dropout
        self.subsampling = subsampling
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.linear1 = nn.Linear(width, settings.dim_feedforward)
        self.linear2 = nn.Linear(settings.dim_feedforward, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = Dropout(dropout)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, level: Level, text: Text) -> Tensor:
        """Features [B·T, C, h, w] of `level` → the same shape, mixed with the clip's other frames and the words.

        Fewer than B frames are clips of one: each serves as many sentences that follow one another.
        """
        clips, (height, width) = min(len(text.words), len(level.features)), level.shape
        attended = self._attend_to_clip(level, clips)

        def tokens(maps: Tensor) -> Tensor:
            return rearrange(maps, "(b t) c h w -> b (t h w) c", b=clips)

        x = self.norm1(tokens(level.features) + self.dropout(tokens(attended)))
        x = self._read(x, x + tokens(level.position), text)
        return rearrange(self._digest(x), "b (t h w) c -> (b t) c h w", h=height, w=width)

    def _read(self, x: Tensor, query: Tensor, text: Text) -> Tensor:
        """Pixels [B or fewer, N, C], each by the words of its sentence, or of each of its sentences → [B, N, C]."""
        x, query = (each_repeated(each, len(text.words) // len(x)) for each in (x, query))
        words = self.multihead_attn(query, text.keys, text.words, key_padding_mask=text.padding, need_weights=False)[0]
        return self.norm2(x + self.dropout(words))

    def _digest(self, x: Tensor) -> Tensor:
        return self.norm3(x + self.dropout(feedforward(x, self.linear1, self.linear2, self.dropout)))

    def _attend_to_clip(self, level: Level, batch: int) -> Tensor:
        """Self-attention over all T frames' (subsampled) pixels, brought back to [B·T, C, h, w]."""
        height, width = level.shape
        small = (max(height // self.subsampling, 1), max(width // self.subsampling, 1))

        rows, columns = (nearest(*lengths, level.features.device) for lengths in zip(level.shape, small, strict=True))

        def tokens(maps: Tensor) -> Tensor:
            maps = maps.index_select(-2, rows).index_select(-1, columns) if small != level.shape else maps
            return rearrange(maps, "(b t) c h w -> b (t h w) c", b=batch)

        values = tokens(level.features)
        positioned = values + tokens(level.position)
        padding = tokens(level.padding[:, None].float())[..., 0].bool()
        attended = self.self_attn(positioned, positioned, values, key_padding_mask=padding, need_weights=False)[0]
        maps = rearrange(attended, "b (t h w) c -> (b t) c h w", h=small[0], w=small[1])
        if small == level.shape:
            return maps
        # With a batch of one, PyTorch takes these strides for no format that it knows, and works 40 times longer.
        maps = maps.clone(memory_format=torch.channels_last)
        return F.interpolate(maps, size=level.shape, mode="bilinear", align_corners=False)


def nearest(length: int, fewer: int, device: torch.device) -> Tensor:
    """Which `fewer` of `length` pixels of an axis nearest interpolation takes: [fewer] long.

    Only these are read then; F.interpolate would first copy a whole map that does not lie as it likes.
    """
    places = torch.arange(length, dtype=torch.float32, device=device)  # exact
    return F.interpolate(places[None, None], size=fewer, mode="nearest")[0, 0].long()
