"""Restart: where tracking seems lost, look for the object anew, and go on from there if that is more certain."""

from collections.abc import Sequence

from torch import Tensor

from .propagation import Asking, FrameResult, Propagator, Question, Video

# Starting values, not tuned on any data set.
MIN_SCORE = 0.3  # class score with the reference, under which tracking is doubted
MIN_IOU = 0.3  # of a frame's mask with its neighbour's, under which it is too


class RestartingPropagator(Propagator):
    """A Propagator behind a gate: of a doubtful frame it also asks without a reference.

    The grounded answer replaces the tracked one where its score is higher.
    """

    def __init__(self, video: Video, threshold: float = 0.5) -> None:
        super().__init__(video, threshold)
        self.mask: Tensor | None = None

    def start(self, index: int, mask: Tensor) -> None:
        """Begin, or begin again, at frame `index`, whose mask is bool [H, W]."""
        super().start(index, mask)
        self.mask = mask

    def step(self, index: int, coming: Sequence[int] = ()) -> Asking[FrameResult]:
        """Ask about frame `index`; `grounded` says from where the answer is. Raises RuntimeError before the start."""
        before, tracked = self.mask, (yield from super().step(index, coming))
        self.mask, self.grounded = tracked.probability > self.threshold, False
        if tracked.score >= MIN_SCORE and iou(before, self.mask) >= MIN_IOU:
            return tracked
        fresh = yield Question(index, coming=coming)
        if fresh.score <= tracked.score:
            return tracked
        self.start(index, fresh.probability > self.threshold)
        self.grounded = True
        return fresh


def iou(before: Tensor, after: Tensor) -> float:
    """Of two masks, bool [H, W]. Empty ones agree on nothing: a lost object is looked for in each frame."""
    before = before.to(after.device)  # a given key mask comes from a file
    return float((before & after).sum() / (before | after).sum().clamp(min=1))
