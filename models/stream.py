"""Sentences in a live video: one frame in, one mask a sentence out. Memory stays the same, however long it runs.

As forward propagation from the first frame (models/propagation.py): the reference is the frame before, with its mask.
S sentences; H × W the video.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datasets.expressions import normalise_caption
from datasets.video_source import check_rgb
from util.errors import InputError
from util.structures import Text

from .conversation import converse
from .frame_segmenter import FrameSegmenter
from .key_frames_restart import RestartingPropagator
from .propagation import FrameResult, Grounder, KeyFrame, Propagator, Question, Track, TrackedFrame
from .tracker import Tracker

NOW = 0  # the index of every frame: a propagator's video is a list of the one that it is at


@dataclass(frozen=True)
class Followed:
    """What a stream goes on from.

    texts        the sentences, as each network reads them
    propagators  of each sentence
    shape        of the frames, (H, W, 3)
    single       whether a sentence was given, not a list
    """

    texts: dict[FrameSegmenter, Text]
    propagators: list[Propagator]
    shape: tuple[int, ...]
    single: bool


class Stream:
    """Follows sentences from frame to frame; with the selector `restart`, it looks anew for a lost object.

    score: how sure the network is of the last frame: a float, or float32 [S]; NaN where the mask was given.
    """

    def __init__(self, tracker: Tracker, caption_case: str = "lower") -> None:
        if not tracker.tracking:
            raise InputError("a stream needs tracking: load the model without no_tracking")
        self.tracker, self.caption_case = tracker, caption_case
        self.score: float | np.ndarray = float("nan")
        self._followed: Followed | None = None

    def start(self, text: str | Sequence[str], frame: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Begin, or begin again, with the first frame, RGB uint8 [H, W, 3].

        text     a sentence, or several
        mask     its object in the first frame, bool [H, W] (of several [S, H, W]); None: the network finds it
        returns  the first frame's mask, bool [H, W] (of several [S, H, W])

        Raises InputError for a sentence, frame or mask that cannot be used; what was followed is followed on then.
        """
        check_rgb(frame, "H, W, 3")
        sentences, single, size = sentences_of(text), isinstance(text, str), frame.shape[:2]
        masks: Sequence[np.ndarray | None] = [None] * len(sentences)
        if mask is not None:
            _check_mask(mask, size if single else (len(sentences), *size))
            masks = mask.reshape(-1, *size)
        captions = [normalise_caption(sentence, self.caption_case) for sentence in sentences]
        segmenters = {self.tracker.segmenter, self.tracker.key_segmenter}
        texts = {segmenter: segmenter.encode_text(*captions) for segmenter in segmenters}
        propagators = [self._propagator(frame) for _ in sentences]
        self._followed = Followed(texts, propagators, frame.shape, single)
        return self._say(frame, [_begin(*each) for each in zip(propagators, masks, strict=True)])

    def step(self, frame: np.ndarray) -> np.ndarray:
        """The next frame, RGB uint8 [H, W, 3] of the first one's size → its mask, as `start` returns it.

        Raises RuntimeError before `start`, InputError for a frame of another size or type.
        """
        if self._followed is None:
            raise RuntimeError("Stream.step before Stream.start")
        check_rgb(frame, "H, W, 3")
        if frame.shape != self._followed.shape:
            (height, width), (first_height, first_width) = frame.shape[:2], self._followed.shape[:2]
            raise InputError(
                f"a frame of {width}×{height} pixels in a stream of {first_width}×{first_height}: "
                "bring it to that size, or start again"
            )
        return self._say(frame, [_go_on(propagator, frame) for propagator in self._followed.propagators])

    def _propagator(self, frame: np.ndarray) -> Propagator:
        settings = self.tracker.settings
        kind = RestartingPropagator if settings.key_frame_selector == "restart" else Propagator
        return kind([frame], settings.threshold)

    def _say(self, frame: np.ndarray, tracks: Sequence[Track]) -> np.ndarray:
        """Each track's mask of `frame`; `score` is theirs."""

        def answer(sentences: Sequence[int], questions: Sequence[Question]) -> list[FrameResult]:
            return self._answer(frame, sentences, questions)

        said = dict(converse(tracks, answer))
        frames = [said[number] for number in range(len(tracks))]
        scores = np.array([np.nan if tracked.score is None else tracked.score for tracked in frames], np.float32)
        masks = np.stack([(tracked.probability > self.tracker.settings.threshold).cpu().numpy() for tracked in frames])
        single = self._followed.single
        self.score = float(scores[0]) if single else scores
        return masks[0] if single else masks

    def _answer(self, frame: np.ndarray, sentences: Sequence[int], questions: Sequence[Question]) -> list[FrameResult]:
        alone = questions[0].alone
        segmenter = self.tracker.key_segmenter if alone else self.tracker.segmenter
        text = self._followed.texts[segmenter].take(sentences)
        state = segmenter.read(segmenter.look([segmenter.shrunk(frame)]), text)
        references = None if alone else [question.reference for question in questions]
        return segmenter.answer(state, text, frame.shape[:2], references)


def sentences_of(text: str | Sequence[str]) -> list[str]:
    """One sentence or several, as a list. Raises InputError where there is none."""
    sentences = [text] if isinstance(text, str) else list(text)
    if not sentences:
        raise InputError("no sentence is given: say what to segment")
    return sentences


def _begin(propagator: Propagator, mask: np.ndarray | None) -> Track:
    """One sentence in the first frame, with this mask or the network's own."""
    if mask is None:
        key = yield from Grounder(propagator.video, propagator.threshold).key_frame(NOW)
    else:
        key = KeyFrame(NOW, torch.from_numpy(mask))
    propagator.start(NOW, key.mask)
    yield TrackedFrame(NOW, key.mask.float(), key.result, is_key=True)


def _go_on(propagator: Propagator, frame: np.ndarray) -> Track:
    """One sentence in the next frame."""
    propagator.video = [frame]
    result = yield from propagator.step(NOW)
    yield TrackedFrame(NOW, result.probability, result, propagator.grounded)


def _check_mask(mask: object, shape: tuple[int, ...]) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != shape:
        what = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"the first frame's mask must be a NumPy array, bool {list(shape)}; this is {what}")
