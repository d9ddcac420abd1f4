"""Tracking-forced inference: find the key frame, then carry its mask outward, frame by frame (spec §1, §4).

The network sees one frame at a time and one mask is kept, so memory does not grow with the video's length.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from datasets.preprocessing import INFERENCE_SHORT_SIDE, inference_frame
from datasets.reference_frame import black_out, outward
from util.structures import Clips, Text

from .postprocessors import query_scores, resize_masks
from .tf2 import TF2

Video = Sequence[np.ndarray]  # frames, RGB uint8 [H, W, 3]


@dataclass(frozen=True)
class FrameResult:
    """What the network says of one frame at the frame's own size.

    probability  [H, W] of the best query's mask
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
class KeyFrame:
    """Where propagation starts: frame index, mask bool [H, W], and what the network said of it, where it was asked."""

    index: int
    mask: Tensor
    result: FrameResult | None = None


class Segmenter(Protocol):
    """Whatever segments one frame, perhaps with its masked neighbour."""

    def segment(self, image: np.ndarray, text: Text, reference: np.ndarray | None = None) -> FrameResult: ...


class FrameSegmenter:
    """The network on single frames: an image, and perhaps the masked neighbour, → FrameResult."""

    def __init__(self, network: TF2, short_side: int = INFERENCE_SHORT_SIDE):
        self.network, self.short_side = network.eval(), short_side
        self.device = network.query_embed.weight.device

    @torch.inference_mode()
    def encode_text(self, caption: str) -> Text:
        """One sentence → its features, to be used for all frames."""
        return self.network.encode_text([caption])

    def segment(self, image: np.ndarray, text: Text, reference: np.ndarray | None = None) -> FrameResult:
        """Segment the sentence's object in `image` (RGB uint8 [H, W, 3]); `reference` is its masked neighbour."""
        return self.segment_clip([image], text, None if reference is None else [reference])[0]

    @torch.inference_mode()
    def segment_clip(
        self, images: Sequence[np.ndarray], text: Text, references: Sequence[np.ndarray] | None = None
    ) -> list[FrameResult]:
        """Segment T frames at once, one query for all; `references` are their masked neighbours."""
        network = self.network
        clip = self._clip(images)
        memories = (network.encode_frames(clip, text),)
        if references is not None and network.tracking:
            memories = (network.encode_frames(self._clip(references), text), *memories)
        state = network.decode(text, memories)[-1]
        scores = query_scores(state.logits)[0]
        chosen = state.only(scores.argmax())
        features = network.pixel_decoder(memories[-1], text)
        masks = network.segment(chosen, features, clip.sizes)[0]
        return [
            FrameResult(resize_masks(mask[None], image.shape[:2])[0, 0], scores, box[0], point[0])
            for mask, image, box, point in zip(masks, images, chosen.boxes[0], chosen.reference[0], strict=True)
        ]

    def _clip(self, images: Sequence[np.ndarray]) -> Clips:
        frames = torch.stack([inference_frame(image, self.short_side) for image in images])
        return Clips.unpadded(frames[None].to(self.device))


class Propagator:
    """Owns time and state of one sentence in one video: the last frame with everything but the object blacked out.

    `grounded` says whether the last step's answer was found without its reference: here never.
    """

    def __init__(self, segmenter: Segmenter, text: Text, threshold: float = 0.5):
        self.segmenter, self.text, self.threshold = segmenter, text, threshold
        self.reference: np.ndarray | None = None
        self.grounded = False

    def start(self, image: np.ndarray, mask: Tensor) -> None:
        """Begin at the key frame: image uint8 [H, W, 3], mask bool [H, W]."""
        self.reference = black_out(image, mask.cpu().numpy())

    def step(self, image: np.ndarray) -> FrameResult:
        """Segment the next frame; its mask then makes the reference of the one after. Raises RuntimeError unstarted."""
        if self.reference is None:
            raise RuntimeError("Propagator.step before Propagator.start")
        result = self.segmenter.segment(image, self.text, self.reference)
        self.reference = black_out(image, (result.probability > self.threshold).cpu().numpy())
        return result


def propagate(
    propagator: Propagator, video: Video, key: KeyFrame, span: range | None = None
) -> Iterator[tuple[int, FrameResult]]:
    """All frames of `span` (default: the video) but the key frame, outward both ways: (index, result), each once.

    Raises IndexError for a key frame outside.
    """
    span = range(len(video)) if span is None else span
    for place, neighbour in outward(len(span), key.index - span.start):
        if span[neighbour] == key.index:
            propagator.start(video[key.index], key.mask)
        yield span[place], propagator.step(video[span[place]])


@dataclass(frozen=True)
class Grounder:
    """Finds the sentence's object in single frames of a video, without tracking: how key frames are found."""

    segmenter: Segmenter
    text: Text
    video: Video
    threshold: float = 0.5

    def segment(self, image: np.ndarray) -> FrameResult:
        """One image, RGB uint8 [H, W, 3], by itself."""
        return self.segmenter.segment(image, self.text)

    def key_frame(self, index: int) -> KeyFrame:
        """Frame `index` with its own mask."""
        result = self.segment(self.video[index])
        return KeyFrame(index, result.probability > self.threshold, result)

    def best(self, candidates: Sequence[int], count: int = 1) -> list[KeyFrame]:
        """The `count` candidates of the highest scores, best first, the earlier of equals; keeps no other's mask."""
        return heapq.nlargest(count, map(self.key_frame, candidates), key=lambda key: key.result.score)


def find_key_frame(
    segmenter: Segmenter, text: Text, video: Video, candidates: Sequence[int], threshold: float = 0.5
) -> KeyFrame:
    """The candidate frame of the highest score, segmented without tracking; the earliest of equals."""
    return Grounder(segmenter, text, video, threshold).best(candidates)[0]


def spread_candidates(length: int, count: int) -> list[int]:
    """`count` frames of a video, evenly spaced, each in the middle of its share; all of them where count is 0."""
    if count <= 0 or count >= length:
        return list(range(length))
    return [int((i + 0.5) * length / count) for i in range(count)]
