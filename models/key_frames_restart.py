"""Restart: where tracking seems lost, look for the object anew, and go on from there if that is more certain."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from util.structures import Text

from .propagation import FrameResult, Propagator, Segmenter

# Starting values, not tuned on any data set.
MIN_SCORE = 0.3  # class score with the reference, under which tracking is doubted
MIN_IOU = 0.3  # of a frame's mask with its neighbour's, under which it is too


class RestartingPropagator(Propagator):
    """A Propagator behind a gate: a doubtful frame is also segmented by `ground`, without a reference.

    The grounded answer replaces the tracked one where its score is higher.
    """

    def __init__(
        self, segmenter: Segmenter, text: Text, threshold: float, ground: Callable[[np.ndarray], FrameResult]
    ) -> None:
        super().__init__(segmenter, text, threshold)
        self.ground = ground
        self.mask: Tensor | None = None

    def start(self, image: np.ndarray, mask: Tensor) -> None:
        """Begin, or begin again, at a frame: image uint8 [H, W, 3], mask bool [H, W]."""
        super().start(image, mask)
        self.mask = mask

    def step(self, image: np.ndarray) -> FrameResult:
        """Segment the next frame; `grounded` says from where the answer is. Raises RuntimeError unstarted."""
        before, tracked = self.mask, super().step(image)
        self.mask, self.grounded = tracked.probability > self.threshold, False
        if tracked.score >= MIN_SCORE and iou(before, self.mask) >= MIN_IOU:
            return tracked
        fresh = self.ground(image)
        if fresh.score <= tracked.score:
            return tracked
        self.start(image, fresh.probability > self.threshold)
        self.grounded = True
        return fresh


def iou(before: Tensor, after: Tensor) -> float:
    """Of two masks, bool [H, W]. Empty ones agree on nothing: a lost object is looked for in each frame."""
    before = before.to(after.device)  # a given key mask comes from a file
    return float((before & after).sum() / (before | after).sum().clamp(min=1))
