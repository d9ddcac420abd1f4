"""Where the pixels of a clip go in training (spec §3, Augmentation): flip, crop and resize, drawn once for all.

Resize → crop → resize is done as one crop and one resize: the crop is carried back to whole pixels of the original,
at most half a pixel from where it was drawn, and images, masks and boxes share it. Sizes are those of the three steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from .preprocessing import resized_size

Size = tuple[int, int]  # (height, width)

SIZES_BEFORE_CROP = (400, 500, 600)  # short side
CROP_SIDES = (384, 600)


@dataclass(frozen=True)
class Geometry:
    """One draw.

    original  (H, W)
    flip      mirrored left to right, ahead of the crop
    crop      (top, left, height, width) in pixels of the mirrored original
    size      (h, w) of the result
    """

    original: Size
    flip: bool
    crop: tuple[int, int, int, int]
    size: Size

    @classmethod
    def resize(cls, original: Size, size: Size, flip: bool = False) -> Geometry:
        """The whole frame, resized."""
        return cls(original, flip, (0, 0, *original), size)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part of the image [H, W, ...] that the result shows, mirrored, not yet resized: [height, width, ...]."""
        top, left, height, width = self.crop
        if self.flip:
            left = self.original[1] - left - width
        part = image[top : top + height, left : left + width]
        return cv2.flip(part, 1) if self.flip else part

    def resize_planes(self, part: np.ndarray) -> Sequence[np.ndarray]:
        """A part that was cut, uint8 [height, width, 3] → its three channels, [h, w] each.

        Bilinear with antialias as in Pillow, at three times the speed: results differ by one level at most, by 0.01
        on average.
        """
        if part.shape[:2] == self.size:
            return cv2.split(part)
        planes = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None]
        return F.interpolate(planes, self.size, mode="bilinear", antialias=True)[0].numpy()

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Mask bool [H, W] → bool [h, w], by nearest: pixel i shows pixel ⌊i · height / h⌋."""
        part = self.cut(mask.view(np.uint8)).view(bool)
        rows, columns = (np.arange(new) * old // new for new, old in zip(self.size, part.shape, strict=True))
        return part[rows][:, columns]

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [N, 4] (x1, y1, x2, y2) in pixels of the original → the same in parts of the result, in [0, 1].

        They are mirrored, clipped and scaled, not recomputed from the masks.
        """
        x1, y1, x2, y2 = boxes.T
        if self.flip:
            x1, x2 = self.original[1] - x2, self.original[1] - x1
        top, left, height, width = self.crop
        corners = np.stack([x1 - left, y1 - top, x2 - left, y2 - top], axis=1)
        sides = np.array([width, height, width, height])
        return np.clip(corners, 0, sides) / sides


@dataclass(frozen=True)
class GeometryRange:
    """What geometries are drawn from: some clips are resized, the others cropped and resized.

    short_sides, longest                  of those not cropped
    cropped_short_sides, cropped_longest  of those cropped
    crop_share                            how many are cropped
    """

    short_sides: tuple[int, ...]
    longest: int
    cropped_short_sides: tuple[int, ...]
    cropped_longest: int
    crop_share: float = 0.5

    def draw(self, original: Size, rng: np.random.Generator) -> Geometry:
        """A geometry for frames of `original` (H, W)."""
        flip = rng.random() < 0.5
        if rng.random() < 1 - self.crop_share:
            size = resized_size(original, _one_of(self.short_sides, rng), self.longest)
            return Geometry.resize(original, size, flip)
        grown = resized_size(original, _one_of(SIZES_BEFORE_CROP, rng))
        low, high = CROP_SIDES
        height, width = (int(rng.integers(min(low, side), min(high, side) + 1)) for side in grown)
        top, left = (int(rng.integers(side - cut + 1)) for side, cut in zip(grown, (height, width), strict=True))
        size = resized_size((height, width), _one_of(self.cropped_short_sides, rng), self.cropped_longest)
        (top, height), (left, width) = (
            _carried_back(start, length, old, new)
            for start, length, old, new in zip((top, left), (height, width), original, grown, strict=True)
        )
        return Geometry(original, flip, (top, left, height, width), size)


def extreme_boxes(masks: np.ndarray) -> np.ndarray:
    """Masks bool [N, H, W] → float64 [N, 4]: first and last column and row (x1, y1, x2, y2); zero where empty."""
    boxes = np.zeros((len(masks), 4))
    for box, mask in zip(boxes, masks, strict=True):
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        if width:
            box[:] = x, y, x + width - 1, y + height - 1
    return boxes


def _one_of(sides: tuple[int, ...], rng: np.random.Generator) -> int:
    return sides[rng.integers(len(sides))]


def _carried_back(start: int, length: int, original: int, grown: int) -> tuple[int, int]:
    """(start, length) along a side of `grown` pixels → along the original's, in whole pixels, at least one."""
    first = min(round(start * original / grown), original - 1)
    last = max(round((start + length) * original / grown), first + 1)
    return first, last - first
