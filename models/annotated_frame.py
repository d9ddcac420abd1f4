"""The one annotated frame of a window, all queries kept, alone or tracked: A2D, JHMDB and RefCOCO (spec §4).

Frames are seen as in training: short side 360, long side at most 640, padded to multiples of 32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.sample import RawClip
from datasets.transforms import EvalTransform
from util.structures import Clips, Text

from .conversation import converse
from .postprocessors import AllQueryMasks
from .propagation import FrameResult, Grounder, Propagator, Question, Track, TrackedFrame
from .tf2 import TF2


@dataclass(frozen=True)
class AllQueries(FrameResult):
    """What the network says of one frame, with the masks of all queries, bool [Q, H, W].

    `probability` is the best query's mask as it is written, 0 or 1.
    """

    masks: Tensor


class AnnotatedFrameSegmenter:
    """The network on frames as these sets are evaluated; leaves it in evaluation mode."""

    def __init__(self, network: TF2, threshold: float = 0.5):
        self.network = network.eval()
        self.threshold = threshold
        self.masks_of = AllQueryMasks(threshold)
        self.frames_of = EvalTransform().frames

    @torch.inference_mode()
    def encode_text(self, caption: str) -> Text:
        """One sentence → its features. Raises InputError for an empty or an over-long one."""
        return self.network.encode_text([caption])

    def segment(self, image: np.ndarray, text: Text, reference: np.ndarray | None = None) -> AllQueries:
        """Segment the sentence's object in `image` (RGB uint8 [H, W, 3]); `reference` is its masked neighbour."""
        return self.segment_window([image], 0, text, reference)

    @torch.inference_mode()
    def segment_window(
        self, images: Sequence[np.ndarray], annotated: int, text: Text, reference: np.ndarray | None = None
    ) -> AllQueries:
        """Segment frame `annotated` of T that the backbone sees together; `reference` is its masked neighbour."""
        network, clips = self.network, self._clips(images)
        levels = network.extract_levels(clips, [annotated])
        current = network.encode_levels(levels, text)
        memories = (current,)
        if reference is not None:
            memories = (network.encode_frames(self._clips([reference]), text), current)
        state = network.decode(text, memories)[-1]
        logits = network.segment(state, network.pixel_decoder(levels, current, text), clips.sizes)
        scores, masks = self.masks_of(state.logits, logits, clips.sizes[0].tolist(), images[annotated].shape[:2])
        best = scores.argmax()
        chosen = state.only(best[None])
        return AllQueries(masks[best].float(), scores, chosen.boxes[0, 0, 0], chosen.reference[0, 0, 0], masks)

    def _clips(self, images: Sequence[np.ndarray]) -> Clips:
        return Clips.padded([self.frames_of(images)]).to(self.network.query_embed.weight.device)


class AnnotatedFrameTracker:
    """Answers for the annotated frame of a window by tracking from the window's key frame, or by the network alone."""

    def __init__(self, segmenter: AnnotatedFrameSegmenter, key_segmenter: AnnotatedFrameSegmenter, tracking: bool):
        """`key_segmenter` finds and segments the key frame; it may be `segmenter`."""
        self.segmenter, self.key_segmenter, self.tracking = segmenter, key_segmenter, tracking

    def answer(self, clip: RawClip) -> TrackedFrame:
        """The annotated frame, its result `AllQueries`. Raises InputError for a sentence that cannot be encoded."""
        annotated = clip.annotated or 0
        frames, place = distinct_frames(clip.frames, annotated)
        if self.tracking and len(frames) > 1:
            return self._track(frames, place, clip.caption)
        result = self.segmenter.segment_window(clip.frames, annotated, self.segmenter.encode_text(clip.caption))
        return TrackedFrame(annotated, result.probability, result)

    def _track(self, frames: Sequence[np.ndarray], place: int, caption: str) -> TrackedFrame:
        """Find the key frame among all, then go from there to `place`, each frame's reference being the one before."""
        text, key_text = self.segmenter.encode_text(caption), self.key_segmenter.encode_text(caption)

        def answer(_: Sequence[int], questions: Sequence[Question]) -> list[AllQueries]:
            (question,) = questions
            image = frames[question.index]
            if question.alone:
                return [self.key_segmenter.segment(image, key_text)]
            return [self.segmenter.segment(image, text, question.reference)]

        ((_, frame),) = converse([_walk_to(place, frames, self.segmenter.threshold)], answer)
        return frame


def _walk_to(place: int, frames: Sequence[np.ndarray], threshold: float) -> Track:
    """From the key frame to frame `place`, of which alone it tells."""
    (key,) = yield from Grounder(frames, threshold).best(range(len(frames)))
    result = key.result
    if key.index != place:
        propagator = Propagator(frames, threshold)
        propagator.start(key.index, key.mask)
        step = 1 if place > key.index else -1
        for index in range(key.index + step, place + step, step):
            result = yield from propagator.step(index)
    yield TrackedFrame(place, result.probability, result, is_key=key.index == place)


def distinct_frames(frames: Sequence[np.ndarray], annotated: int) -> tuple[list[np.ndarray], int]:
    """A window without the repeats that its video's ends make, and the place of frame `annotated` in it."""
    kept, place = [frames[0]], 0
    for index in range(1, len(frames)):
        if not np.array_equal(frames[index], frames[index - 1]):
            kept.append(frames[index])
        if index == annotated:
            place = len(kept) - 1
    return kept, place
