"""Key frames chosen elsewhere: `--key_frames FILE` and `--key_masks DIR` (spec §4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from util.errors import InputError
from util.mask_io import read_label_map
from util.names import as_number

from .expressions import VideoEntry


@dataclass(frozen=True)
class KeyChoice:
    """What is given for one expression: candidate frames (none: the network looks at any) and masks by frame index."""

    candidates: tuple[int, ...] = ()
    masks: Mapping[int, Path] = field(default_factory=dict)

    def mask(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """The given mask of frame `index`, bool [H, W], or None. Raises InputError where its size is not `size`."""
        if index not in self.masks:
            return None
        mask = read_label_map(self.masks[index]) > 0
        if mask.shape != tuple(size):
            raise InputError(
                f"{self.masks[index]}: {mask.shape[::-1]} pixels, the frame has {tuple(size)[::-1]}; make it so"
            )
        return mask


class KeyFrameFiles:
    """Reads both sources; without either every choice is the network's."""

    def __init__(self, frames: Path | None = None, masks: Path | None = None) -> None:
        self.frames_file, self.masks_folder = frames, masks
        self.frames = _read(frames) if frames else {}
        if masks and not masks.is_dir():
            raise InputError(f"{masks} is not a folder: --key_masks holds <video>/<expression id>/<frame>.png")

    def choice(self, video: VideoEntry, expression: str) -> KeyChoice:
        """What is given for an expression of a video. Raises InputError for a frame that the video has not."""
        masks = self._masks(video, expression)
        if self.frames_file:
            return KeyChoice((self._frame(video, expression),), masks)
        return KeyChoice(tuple(sorted(masks)), masks)

    def _frame(self, video: VideoEntry, expression: str) -> int:
        where = f"{self.frames_file}: video {video.name!r}, expression {expression!r}"
        try:
            frame = self.frames[video.name][expression]
        except (KeyError, TypeError):
            raise InputError(f"{where}: no key frame given; add it or leave --key_frames out") from None
        if frame in video.frames:
            return video.frames.index(frame)
        index = as_number(frame) if isinstance(frame, str) else frame
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(video.frames):
            last = len(video.frames) - 1
            raise InputError(
                f"{where}: key frame {frame!r} is outside the video; give a frame name or an index 0–{last}"
            )
        return index

    def _masks(self, video: VideoEntry, expression: str) -> dict[int, Path]:
        if not self.masks_folder:
            return {}
        folder = self.masks_folder / video.name / expression
        found = {i: folder / f"{frame}.png" for i, frame in enumerate(video.frames)}
        found = {i: path for i, path in found.items() if path.is_file()}
        if not found:
            raise InputError(f"{folder}: no mask named after a frame of the video; add one or leave --key_masks out")
        return found


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); give video → expression id → frame name") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: must be an object: video → expression id → frame name or index")
    return content
