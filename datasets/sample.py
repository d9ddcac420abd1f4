"""What travels from a data set to the network: raw clip → sample → batch (spec §3).

T frames a clip; T' annotated ones among them: all of them in the video sets, one in A2D and JHMDB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from util.structures import Clips, Target


@dataclass(frozen=True)
class RawClip:
    """A clip as read from disk, before augmentation.

    frames     T images, RGB uint8 [H, W, 3]
    reference  T' images, RGB uint8 [H, W, 3]: the neighbours with everything but the object blacked out
    masks      [T', H, W] bool, the object in the annotated frames
    caption    the sentence
    label      class of the object
    name       what to call the clip in a message: data set, video, expression, frames
    annotated  index in `frames` of the one annotated frame (A2D, JHMDB); None where all are
    image_id   id of the annotated image in the ground truth that evaluation reads
    """

    frames: list[np.ndarray]
    reference: list[np.ndarray]
    masks: np.ndarray
    caption: str
    label: int
    name: str
    annotated: int | None = None
    image_id: str | int | None = None


@dataclass(frozen=True)
class ClipSample:
    """A clip ready for the network.

    frames     [T, 3, h, w] float32, normalised
    reference  [T', 3, h, w] float32, normalised
    target     the object in the T' annotated frames
    original_size  (H, W) before any resize
    problems   messages of broken samples that this one stands in for
    The rest as in RawClip.
    """

    frames: Tensor
    reference: Tensor
    target: Target
    caption: str
    name: str
    original_size: tuple[int, int]
    annotated: int | None = None
    image_id: str | int | None = None
    problems: tuple[str, ...] = ()

    def standing_in_for(self, problems: list[str]) -> ClipSample:
        """The same sample, carrying the messages of those it replaces."""
        return replace(self, problems=tuple(problems))


@dataclass(frozen=True)
class ClipBatch:
    """B clips, padded to a common size (multiple of 32).

    clips, reference  padded streams; annotated: one index a clip, or None where every frame is annotated
    """

    clips: Clips
    reference: Clips
    captions: list[str]
    targets: list[Target]
    names: list[str]
    original_sizes: list[tuple[int, int]]
    annotated: list[int] | None
    image_ids: list[str | int | None]
    problems: list[str]

    def to(self, device: torch.device | str) -> ClipBatch:
        """A copy whose tensors lie on `device`."""
        return replace(
            self,
            clips=self.clips.to(device),
            reference=self.reference.to(device),
            targets=[target.to(device) for target in self.targets],
        )


def collate(samples: list[ClipSample]) -> ClipBatch:
    """Samples of one data set → a batch."""
    single = samples[0].annotated is not None
    return ClipBatch(
        clips=Clips.padded([s.frames for s in samples]),
        reference=Clips.padded([s.reference for s in samples]),
        captions=[s.caption for s in samples],
        targets=[s.target for s in samples],
        names=[s.name for s in samples],
        original_sizes=[s.original_size for s in samples],
        annotated=[s.annotated for s in samples] if single else None,
        image_ids=[s.image_id for s in samples],
        problems=[message for s in samples for message in s.problems],
    )
