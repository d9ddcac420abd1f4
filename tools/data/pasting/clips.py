"""A stretch of a video and of one object in it: frames and masks read when asked for, and where the object is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import percentile_filter

from datasets.preprocessing import resized_size
from util.errors import InputError
from util.mask_io import read_image, read_label_map

from .subjects import Subject

SMALL_SIDE = 72  # pixels of the short side of small masks: enough to see where what is hidden
CUT = 0.1  # of the square root of the area: an object with more pixels on the frame's rim goes on beyond it

# Something in front of an object takes from its area, or cuts it in parts, compared with other frames:
STEADY = 0.6  # of the area that is usual around a frame
AROUND = 15  # frames
IN_ONE_PART = 0.9  # of the share that its largest part usually has


class Lazy(Sequence[np.ndarray]):
    """Arrays made anew when asked for."""

    def __init__(self, names: Sequence[str], read: Callable[[str], np.ndarray]) -> None:
        self.names, self.read = names, read

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.read(self.names[index])


@dataclass(frozen=True)
class Clip:
    """Frames `names` of a subject's video.

    short_side   frames and masks are brought to this, if they are larger; None: as they are
    """

    folder: Path
    subject: Subject
    names: tuple[str, ...]
    short_side: int | None = None

    @property
    def frames(self) -> Lazy:
        """T frames RGB uint8 [H, W, 3]."""
        return Lazy(self.names, self._frame)

    @property
    def masks(self) -> Lazy:
        """T masks uint8 [H, W]: 1 the subject, 2 any other object, void among them."""
        return Lazy(self.names, self._mask)

    @property
    def object_masks(self) -> Lazy:
        """T masks bool [H, W] of the subject."""
        return Lazy(self.names, lambda name: self._mask(name) == 1)

    @cached_property
    def track(self) -> "Track":
        """Where the subject is. Raises InputError where the masks' sizes differ."""
        try:
            return Track.of(self.object_masks)
        except ValueError as error:
            raise InputError(
                f"{self._file('Annotations', self.names[0], '').parent}: {error}; fetch it again"
            ) from error

    def part(self, start: int, stop: int) -> "Clip":
        """Its frames from `start` to before `stop`."""
        return Clip(self.folder, self.subject, self.names[start:stop], self.short_side)

    def _frame(self, name: str) -> np.ndarray:
        file = self._file("JPEGImages", name, ".jpg")
        frame = self._resized(read_image(file), cv2.INTER_AREA)
        if frame.shape[:2] != self.track.size:
            raise InputError(f"{file}: of another size than the video's masks; fetch it again")
        return frame

    def _mask(self, name: str) -> np.ndarray:
        labels = read_label_map(self._file("Annotations", name, ".png"))
        return self._resized(cv2.LUT(labels, self._roles))

    @cached_property
    def _roles(self) -> np.ndarray:
        """[256] uint8: label in the file → 0 nothing, 1 the subject, 2 another."""
        roles = np.full(256, 2, np.uint8)
        roles[[0, self.subject.object_id]] = 0, 1
        return roles

    def _file(self, kind: str, name: str, suffix: str) -> Path:
        return self.folder / kind / self.subject.video / f"{name}{suffix}"

    def _resized(self, image: np.ndarray, interpolation: int = cv2.INTER_NEAREST) -> np.ndarray:
        size = image.shape[:2]
        if self.short_side is None or min(size) <= self.short_side:
            return image
        return cv2.resize(image, resized_size(size, self.short_side)[::-1], interpolation=interpolation)


@dataclass(frozen=True)
class Track:
    """Where an object is in T frames of (H, W) = `size`.

    small   bool [T, h, w]: its masks, one pixel in `step` each way
    areas   int [T], pixels; 0 where it does not show
    boxes   float [T, 4]: left, top, width, height
    whole   bool [T]: it shows, does not go on beyond the frame's rim, and nothing seems to hide part of it
    """

    size: tuple[int, int]
    step: int
    small: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    whole: np.ndarray

    @classmethod
    def of(cls, masks: Sequence[np.ndarray]) -> "Track":
        """Look at masks, bool [H, W]. Raises ValueError where their sizes differ."""
        small, areas, boxes, parts, inside, size = [], [], [], [], [], None
        for mask in masks:
            if size not in (None, mask.shape):
                raise ValueError(f"masks of {size} and of {mask.shape} pixels")
            size = mask.shape
            step = max(min(size) // SMALL_SIDE, 1)
            small.append(mask[::step, ::step])
            areas.append(np.count_nonzero(mask))
            boxes.append(cv2.boundingRect(mask.view(np.uint8)))
            parts.append(_largest_part(mask, boxes[-1]))
            rim = max(np.count_nonzero(side) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
            inside.append(rim <= CUT * np.sqrt(areas[-1]))
        areas = np.array(areas)
        whole = (areas > 0) & inside & _unhidden(areas, np.array(parts) / np.maximum(areas, 1))
        return cls(size, step, np.stack(small), areas, np.array(boxes, float), whole)

    def __len__(self) -> int:
        return len(self.areas)

    def longest_whole(self) -> range:
        """The longest run of frames that show all of the object."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self.whole, [0]])))
        runs = [range(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
        return max(runs, key=len, default=range(0))

    def typical(self, frames: Sequence[int]) -> tuple[float, float, float]:
        """Medians over frames that show the object: area, width, height."""
        shown = np.asarray(frames)[self.areas[np.asarray(frames)] > 0]
        width, height = np.median(self.boxes[shown, 2:], axis=0)
        return float(np.median(self.areas[shown])), float(width), float(height)


def _largest_part(mask: np.ndarray, box: tuple[int, int, int, int]) -> int:
    """Pixels of the largest connected part of a mask [H, W] with this box; 0 where it is empty."""
    left, top, width, height = box
    if not width:
        return 0
    part = mask[top : top + height, left : left + width].view(np.uint8)
    return int(cv2.connectedComponentsWithStats(part)[2][1:, cv2.CC_STAT_AREA].max())


def _unhidden(areas: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """[T] bool: the area [T] is not far below those of the frames around, nor the share [T] of the largest part."""
    usual = percentile_filter(areas, 75, size=AROUND, mode="nearest")
    return (areas >= STEADY * usual) & (shares >= IN_ONE_PART * np.percentile(shares, 90))
