"""Tracking-forced inference: find the key frame, then carry its mask outward, frame by frame (spec §1, §4).

A track asks questions of the network and is sent the answers; it knows no network (models/conversation.py lets several
tracks talk to one). It sees one frame at a time and keeps one mask, so memory does not grow with the video's length.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

from datasets.reference_frame import black_out, outward

Video = Sequence[np.ndarray]  # frames, RGB uint8 [H, W, 3]


@dataclass(frozen=True)
class FrameResult:
    """What the network says of one frame at the frame's own size.

    probability  [H, W] of the best query's mask; empty where the score alone was asked for
    scores       [Q] class score of each query
    box          [4] (cx, cy, w, h) in [0, 1] of the best query
    point        [2] (x, y) in [0, 1], its last reference point
    """

    probability: Tensor
    scores: Tensor
    box: Tensor
    point: Tensor

    @property
    def score(self) -> float:
        return float(self.scores.max())


@dataclass(frozen=True)
class Question:
    """Where is the sentence's object in frame `index`?

    reference  the masked neighbour, RGB uint8 [H, W, 3]; None: in the frame alone
    coming     the frames that are asked about after this one, in their order, as far as is known; a range that counts
               down also says, when it is at its end, that the way was backward
    score_only whether the mask may be left out of the answer
    """

    index: int
    reference: np.ndarray | None = None
    coming: Sequence[int] = ()
    score_only: bool = False

    @property
    def alone(self) -> bool:
        return self.reference is None

    @property
    def backward(self) -> bool:
        return isinstance(self.coming, range) and self.coming.step < 0

    @property
    def kind(self) -> tuple[int, bool, bool]:
        """Questions of one kind can be answered together."""
        return self.index, self.alone, self.score_only


@dataclass(frozen=True)
class KeyFrame:
    """Where propagation starts: frame index, mask bool [H, W], and what the network said of it, where it was asked."""

    index: int
    mask: Tensor
    result: FrameResult | None = None


@dataclass(frozen=True)
class TrackedFrame:
    """One frame's answer: its index, the object's probability [H, W], and the network's result where it was asked.

    is_key: the mask was not tracked, but given, or found in the frame alone.
    """

    index: int
    probability: Tensor
    result: FrameResult | None
    is_key: bool = False

    @property
    def score(self) -> float | None:
        return self.result.score if self.result else None


Found = TypeVar("Found")
Asking = Generator[Question, FrameResult, Found]  # asks, is sent the answers, and returns what it found
Track = Generator[Question | TrackedFrame, FrameResult | None, None]  # asks, and says what it knows


class Propagator:
    """Owns time and state of one sentence in one video: the last frame with everything but the object blacked out.

    `grounded` says whether the last step's answer was found without its reference: here never.
    """

    def __init__(self, video: Video, threshold: float = 0.5):
        self.video, self.threshold = video, threshold
        self.reference: np.ndarray | None = None
        self.grounded = False

    def start(self, index: int, mask: Tensor) -> None:
        """Begin at frame `index`, whose mask is bool [H, W]."""
        self.reference = black_out(self.video[index], mask.cpu().numpy())

    def step(self, index: int, coming: Sequence[int] = ()) -> Asking[FrameResult]:
        """Ask about frame `index`; its mask then makes the next reference. Raises RuntimeError before the start."""
        if self.reference is None:
            raise RuntimeError("Propagator.step before Propagator.start")
        result = yield Question(index, self.reference, coming)
        self.reference = black_out(self.video[index], (result.probability > self.threshold).cpu().numpy())
        return result


def propagate(propagator: Propagator, key: KeyFrame, span: range | None = None) -> Track:
    """All frames of `span` (default: the video) but the key frame, outward both ways, each once.

    Raises IndexError for a key frame outside.
    """
    for way in outward(span or range(len(propagator.video)), key.index):
        if way:
            propagator.start(key.index, key.mask)
        for index in way:
            result = yield from propagator.step(index, range(index + way.step, way.stop, way.step))
            yield TrackedFrame(index, result.probability, result, propagator.grounded)


@dataclass(frozen=True)
class Grounder:
    """Finds the sentence's object in single frames of a video, without tracking: how key frames are found."""

    video: Video
    threshold: float = 0.5

    def key_frame(self, index: int) -> Asking[KeyFrame]:
        """Frame `index` with its own mask."""
        return self._with_mask(index, (yield Question(index)))

    def best(self, candidates: Sequence[int], count: int = 1) -> Asking[list[KeyFrame]]:
        """The `count` candidates of the highest scores, best first, the earlier of equals; keeps no other's mask.

        Of many, masks may be left out of the answers; those of the chosen ones are then asked for.
        """
        best: list[tuple[int, FrameResult]] = []
        for place, index in enumerate(candidates, 1):
            result = yield Question(index, coming=candidates[place:], score_only=count < len(candidates))
            best = sorted([*best, (index, result)], key=lambda answer: -answer[1].score)[:count]
        keys = []
        for index, result in best:
            masked = result.probability.numel() > 0
            keys.append(self._with_mask(index, result) if masked else (yield from self.key_frame(index)))
        return keys

    def _with_mask(self, index: int, result: FrameResult) -> KeyFrame:
        return KeyFrame(index, result.probability > self.threshold, result)


def spread_candidates(length: int, count: int) -> list[int]:
    """`count` frames of a video, evenly spaced, each in the middle of its share; all of them where count is 0."""
    if count <= 0 or count >= length:
        return list(range(length))
    return [int((i + 0.5) * length / count) for i in range(count)]
