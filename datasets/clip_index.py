"""Every clip of a data set in Ref-YouTube-VOS layout, held in a few arrays.

V videos, N frames of all of them behind one another, E expressions, S clips. At the real size of Ref-YouTube-VOS
(3,471 videos of 27 frames, 12,900 expressions, T = 5: 77,400 clips) all arrays together take 2.9 MB, and workers share
them; tests/test_ytvos.py measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from .clip_sampling import clip_starts
from .expressions import Expression, VideoEntry
from .packed_strings import PackedStrings


@dataclass(frozen=True)
class ClipIndex:
    """Clips, and what they are of.

    videos       V names
    frames       N names of frames, sorted within a video
    first_frame  [V + 1] int32, where a video's frames start; the last is N
    ids          E ids of expressions, unique within a video
    captions     E sentences
    video        [E] int32, video of an expression
    object_id    [E] uint8, pixel value of the object in the masks
    label        [E] int16, class of the object
    expression   [S] int32, expression of a clip
    start        [S] int32, position of the clip's start among the video's frames
    """

    videos: PackedStrings
    frames: PackedStrings
    first_frame: np.ndarray
    ids: PackedStrings
    captions: PackedStrings
    video: np.ndarray
    object_id: np.ndarray
    label: np.ndarray
    expression: np.ndarray
    start: np.ndarray

    @classmethod
    def build(
        cls,
        videos: Sequence[VideoEntry],
        num_frames: int,
        label_of: Callable[[Expression], int],
        *,
        told_frames: bool = False,
    ) -> ClipIndex:
        """Clips of `num_frames` frames of every expression of `videos`; each expression names its object.

        With `told_frames` they start only where an expression's frames tell what is meant, if it says which do.
        """
        expressions = [(number, e) for number, video in enumerate(videos) for e in video.expressions]
        lengths = np.array([len(video.frames) for video in videos], dtype=np.int32)
        starts = [
            _starts(videos[number], expression, num_frames, told_frames=told_frames)
            for number, expression in expressions
        ]
        return cls(
            videos=PackedStrings(video.name for video in videos),
            frames=PackedStrings(frame for video in videos for frame in video.frames),
            first_frame=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
            ids=PackedStrings(e.id for _, e in expressions),
            captions=PackedStrings(e.text for _, e in expressions),
            video=np.array([number for number, _ in expressions], dtype=np.int32),
            object_id=np.array([int(e.obj_id) for _, e in expressions], dtype=np.uint8),
            label=np.array([label_of(e) for _, e in expressions], dtype=np.int16),
            expression=np.repeat(np.arange(len(expressions), dtype=np.int32), [len(s) for s in starts]),
            start=np.array([start for some in starts for start in some], dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.start)

    def length(self, video: int) -> int:
        """How many frames a video has."""
        return int(self.first_frame[video + 1] - self.first_frame[video])

    def frame(self, video: int, position: int) -> str:
        """Name of the frame at a position of a video."""
        return self.frames[int(self.first_frame[video]) + position]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))


def _starts(video: VideoEntry, expression: Expression, num_frames: int, *, told_frames: bool) -> Sequence[int]:
    """Positions where an expression's clips start."""
    if not told_frames or expression.told is None:
        return clip_starts(len(video.frames), num_frames)
    told = set(expression.told)
    return [position for position, frame in enumerate(video.frames) if frame in told][::num_frames]
