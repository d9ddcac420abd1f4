"""Typed batches that travel through the network.

B clips, T frames a clip, N = B·T frames, C hidden width, L words, Q queries, K classes, H × W the padded frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self


class OfTensors:
    """A dataclass of tensors that is handled as one."""

    def to(self, device: torch.device | str) -> Self:
        """A copy whose tensors lie on `device`."""
        return self._changed(lambda tensor: tensor.to(device))

    def take(self, rows: Sequence[int]) -> Self:
        """Rows of the first axis of every tensor, in this order; one may come several times.

        A range shares memory, and so do rows that are one in memory.
        """
        if isinstance(rows, range):
            return self._changed(lambda tensor: tensor[rows.start : rows.stop])
        return self._changed(lambda tensor: _rows(tensor, rows))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Rows of several, behind one another; what is no tensor is that of the first."""
        first, *others = parts
        if not others:
            return first
        values = {f.name: getattr(first, f.name) for f in fields(cls)}
        tensors = [name for name, value in values.items() if isinstance(value, Tensor)]
        return replace(
            first, **{name: _behind_one_another([getattr(part, name) for part in parts]) for name in tensors}
        )

    @property
    def nbytes(self) -> int:
        """Memory of all tensors."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, Tensor | OfTensors))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        inner = {name: value._changed(change) for name, value in values.items() if isinstance(value, OfTensors)}
        return replace(self, **tensors, **inner)


def one_in_memory(tensor: Tensor) -> bool:
    """Whether all rows of the first axis are the same memory: an expanded row, or the only one."""
    return tensor.stride(0) == 0 or len(tensor) == 1


def _behind_one_another(tensors: list[Tensor]) -> Tensor:
    first = tensors[0]
    if all(one_in_memory(tensor) and tensor.data_ptr() == first.data_ptr() for tensor in tensors):
        return first[:1].expand(sum(map(len, tensors)), *first.shape[1:])
    return torch.cat(tensors)


def _rows(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    if one_in_memory(tensor):
        return tensor[:1].expand(len(rows), *tensor.shape[1:])
    return tensor[torch.as_tensor(rows, device=tensor.device)]


@dataclass(frozen=True)
class Clips(OfTensors):
    """A batch of normalised clips, padded at the bottom and right (spec §2, Padding).

    frames   [B, T, 3, H, W] float
    padding  [B, H, W] bool, True on padding; one mask for all frames of a clip
    sizes    [B, 2] int, the unpadded (height, width) of each clip
    """

    frames: Tensor
    padding: Tensor
    sizes: Tensor

    @property
    def batch(self) -> int:
        return self.frames.shape[0]

    @property
    def length(self) -> int:
        return self.frames.shape[1]

    @classmethod
    def unpadded(cls, frames: Tensor) -> Clips:
        """Clips of one size, [B, T, 3, H, W], as inference sees them: nothing is padded."""
        batch, _, _, height, width = frames.shape
        padding = torch.zeros(batch, height, width, dtype=torch.bool, device=frames.device)
        return cls(frames, padding, torch.tensor([[height, width]] * batch, device=frames.device))

    @classmethod
    def padded(cls, clips: list[Tensor], multiple: int = 32) -> Clips:
        """Clips [T, 3, h, w] of any sizes and one length, padded with zeros to a common multiple of `multiple`."""
        sizes = torch.tensor([clip.shape[-2:] for clip in clips])
        height, width = (int(-(-side // multiple) * multiple) for side in sizes.max(0).values)
        frames = torch.stack([pad_to(clip, height, width) for clip in clips])
        padding = torch.stack([pad_to(torch.zeros(h, w), height, width, 1.0) for h, w in sizes.tolist()]).bool()
        return cls(frames, padding, sizes)


def pad_to(tensor: Tensor, height: int, width: int, value: float = 0.0) -> Tensor:
    """Pads the last two axes at the bottom and right."""
    h, w = tensor.shape[-2:]
    return F.pad(tensor, (0, width - w, 0, height - h), value=value)


@dataclass(frozen=True)
class Tokens(OfTensors):
    """Token ids of a batch of sentences, `<s>` and `</s>` included.

    ids   [B, L] int
    mask  [B, L] bool, True on real tokens
    """

    ids: Tensor
    mask: Tensor

    @classmethod
    def padded(cls, sentences: list[list[int]], pad: int = 1) -> Tokens:
        """Sentences of any lengths, padded with `pad` to the longest."""
        longest = max(len(sentence) for sentence in sentences)
        ids = torch.tensor([sentence + [pad] * (longest - len(sentence)) for sentence in sentences])
        lengths = torch.tensor([len(sentence) for sentence in sentences])
        return cls(ids, torch.arange(longest) < lengths[:, None])


@dataclass(frozen=True)
class Text(OfTensors):
    """Encoded sentences: what the network knows of the expression.

    words     [B, L, C]
    position  [B, L, C] 1-D sine position of each word
    padding   [B, L] bool, True on padding
    sentence  [B, C]
    """

    words: Tensor
    position: Tensor
    padding: Tensor
    sentence: Tensor

    @property
    def keys(self) -> Tensor:
        """Words as attention keys, [B, L, C]: with their position."""
        return self.words + self.position


@dataclass(frozen=True)
class Level(OfTensors):
    """One feature map of N = B·T frames.

    features  [N, C, h, w]
    padding   [N, h, w] bool, True on padding
    position  [N, C, h, w] 2-D sine position
    """

    features: Tensor
    padding: Tensor
    position: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.features.shape[-2:])

    def with_features(self, features: Tensor) -> Level:
        """The same map with other features [N, C', h, w]."""
        return replace(self, features=features)


@dataclass(frozen=True)
class Memory(OfTensors):
    """Encoder memory of one stream (the current frames, or their references).

    tokens        [N, S, C], all levels behind one another
    padding       [N, S] bool, True on padding
    valid_ratios  [N, levels, 2], unpadded part of (width, height)
    shapes        (h, w) of each level
    clip_length   T
    """

    tokens: Tensor
    padding: Tensor
    valid_ratios: Tensor
    shapes: list[tuple[int, int]]
    clip_length: int

    def maps(self) -> list[Tensor]:
        """The memory cut back into its levels, [N, C, h, w] each, fine to coarse."""
        parts = self.tokens.split([h * w for h, w in self.shapes], dim=1)
        return [rearrange(part, "n (h w) c -> n c h w", h=h) for part, (h, _) in zip(parts, self.shapes, strict=True)]


@dataclass(frozen=True)
class QueryState(OfTensors):
    """What one decoder layer says.

    content    [B, T, Q, C]
    logits     [B, T, Q, K]
    boxes      [B, T, Q, 4] (cx, cy, w, h) in [0, 1] of the unpadded frame
    entering   [B, T, Q, 2] reference points that entered the layer
    reference  [B, T, Q, 2] the layer's refined reference points, detached
    """

    content: Tensor
    logits: Tensor
    boxes: Tensor
    entering: Tensor
    reference: Tensor

    def only(self, query: Tensor) -> QueryState:
        """The same with one query of each clip left, Q = 1; query [B]."""
        clip = torch.arange(len(query), device=query.device)
        return self._changed(lambda tensor: tensor[clip, :, query][:, :, None])


@dataclass(frozen=True)
class LayerOutput:
    """One decoder layer's predictions: logits [B, T, Q, K], boxes [B, T, Q, 4], mask logits [B, T, Q, H/4, W/4]."""

    logits: Tensor
    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class NetworkOutput:
    """Predictions of every decoder layer that was asked for, the last layer last.

    reference_points  [B, T, Q, 2] reference points that entered the last layer
    """

    layers: list[LayerOutput]
    reference_points: Tensor

    @property
    def last(self) -> LayerOutput:
        return self.layers[-1]


@dataclass(frozen=True)
class Target(OfTensors):
    """The referred object in one clip.

    label  [] int class of the object (0 with one class)
    boxes  [T, 4] (cx, cy, w, h) in [0, 1] of the unpadded frame; zero where invalid
    masks  [T, h, w] bool at the unpadded size; empty where invalid
    valid  [T] bool, False where the object is not in the frame
    """

    label: Tensor
    boxes: Tensor
    masks: Tensor
    valid: Tensor


def per_frame(clipwise: Tensor, length: int) -> Tensor:
    """[B, ...] repeated for each frame: [B·T, ...]."""
    return repeat(clipwise, "b ... -> (b t) ...", t=length)


def each_repeated(rows: Tensor, times: int) -> Tensor:
    """[N, ...] → [N·times, ...], each row `times` times in turn; once: the same tensor."""
    return rows if times == 1 else rows.repeat_interleave(times, 0)
