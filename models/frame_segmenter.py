"""The network on whole frames in inference, a step at a time: what hangs on the frame, on the sentence, on the track.

F frames of one video, B pairs of a frame and a sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from datasets.preprocessing import INFERENCE_SHORT_SIDE, inference_frame, resized_size
from util.errors import InputError
from util.structures import Clips, Level, Memory, OfTensors, QueryState, Text

from .postprocessors import query_scores, resize_masks
from .propagation import FrameResult
from .tf2 import TF2

Size = tuple[int, int]  # (H, W) of the video


@dataclass(frozen=True)
class FrameState(OfTensors):
    """What the network knows of B pairs of a frame and a sentence before any track.

    memory    of the frames as they are
    features  [B, mask_dim, h, w] for the masks; None: there will be scores alone
    """

    memory: Memory
    features: Tensor | None


class FrameSegmenter:
    """One network in evaluation mode, on frames whose short side is brought to `short_side`."""

    def __init__(self, network: TF2, short_side: int = INFERENCE_SHORT_SIDE):
        self.network, self.short_side = network.eval(), short_side
        self.device = network.query_embed.weight.device

    @torch.inference_mode()
    def encode_text(self, *captions: str) -> Text:
        """Sentences → their features, to be used for all frames."""
        return self.network.encode_text(list(captions))

    def shrunk(self, image: np.ndarray) -> Tensor:
        """RGB uint8 [H, W, 3] → what the network sees, [3, h, w]."""
        return inference_frame(image, self.short_side)

    @torch.inference_mode()
    def look(self, frames: Sequence[Tensor]) -> list[Level]:
        """Frames as `shrunk` makes them, all of one size → their levels, which no sentence changes.

        Raises InputError where they are too small for the network.
        """
        self._refuse_too_small(*frames[0].shape[1:])
        return self.network.extract_levels(self._clips(frames))

    @torch.inference_mode()
    def read(self, levels: list[Level], text: Text, *, masks: bool = True) -> FrameState:
        """The levels of F frames, and B sentences: B / F for the first frame, as many for the next one, and so on.

        (Of one clip's frames there are more than sentences.) masks: whether there will be masks too.
        """
        state = FrameState(self.network.encode_levels(_paired(levels, text), text), None)
        return self.with_features(state, levels, text) if masks else state

    @torch.inference_mode()
    def with_features(self, state: FrameState, levels: list[Level], text: Text) -> FrameState:
        """What `read` made of these without masks, with what masks need."""
        return replace(state, features=self.network.pixel_decoder(_paired(levels, text), state.memory, text))

    @torch.inference_mode()
    def answer(
        self, state: FrameState, text: Text, size: Size, references: Sequence[np.ndarray] | None = None
    ) -> list[FrameResult]:
        """Each of the B sentences' object; `references` are the frames' masked neighbours, RGB uint8 [H, W, 3]."""
        memories = (state.memory,)
        if references is not None and self.network.tracking:
            shown = self._clips([self.shrunk(reference) for reference in references])
            memories = (self.network.encode_frames(shown, text), state.memory)
        return self._best_queries(self.network.decode(text, memories)[-1], state.features, size)

    def segment(self, image: np.ndarray, text: Text, reference: np.ndarray | None = None) -> FrameResult:
        """One sentence's object in one image, RGB uint8 [H, W, 3]; `reference` is its masked neighbour."""
        state = self.read(self.look([self.shrunk(image)]), text)
        return self.answer(state, text, image.shape[:2], None if reference is None else [reference])[0]

    @torch.inference_mode()
    def segment_clip(self, images: Sequence[np.ndarray], text: Text) -> list[FrameResult]:
        """T frames at once without references, one query for all."""
        state = self.read(self.look([self.shrunk(image) for image in images]), text)
        return self._best_queries(self.network.decode(text, (state.memory,))[-1], state.features, images[0].shape[:2])

    def _refuse_too_small(self, height: int, width: int) -> None:
        long, least = max(height, width), self.network.least_long_side
        if long < least:
            enough = math.ceil(min(height, width) * least / long)
            raise InputError(
                f"frames of {width}×{height} pixels are too small for this network, their longer side must have "
                f"{least} or more: give --short_side {enough}"
            )

    def _clips(self, frames: Sequence[Tensor]) -> Clips:
        """Clips of one frame each."""
        return Clips.unpadded(torch.stack(list(frames))[:, None].to(self.device))

    def _best_queries(self, states: QueryState, features: Tensor | None, size: Size) -> list[FrameResult]:
        """The best query of each clip, in each of its frames; without features, its mask is left out."""
        scores = query_scores(states.logits)
        chosen = states.only(scores.argmax(-1))
        boxes, points = chosen.boxes.flatten(0, 2), chosen.reference.flatten(0, 2)
        probabilities = boxes.new_empty(len(boxes), 0) if features is None else self._masks(chosen, features, size)
        frames = len(probabilities) // len(scores)
        parts = zip(probabilities, scores.repeat_interleave(frames, 0), boxes, points, strict=True)
        return [FrameResult(*part) for part in parts]

    def _masks(self, chosen: QueryState, features: Tensor, size: Size) -> Tensor:
        """One query of each clip → probabilities of its frames, [B·T, H, W]."""
        shrunk = torch.tensor([resized_size(size, self.short_side)] * len(chosen.boxes), device=features.device)
        masks = self.network.segment(chosen, features, shrunk).flatten(0, 1)
        return resize_masks(masks, size)[:, 0]


def _paired(levels: list[Level], text: Text) -> list[Level]:
    """Each frame's levels as often as it has sentences; but the finest one, which the network repeats itself."""
    stride4, *coarser = levels
    times = max(len(text.words) // len(stride4.features), 1)
    pairs = [row for row in range(len(stride4.features)) for _ in range(times)]
    return [stride4, *(level.take(pairs) if times > 1 else level for level in coarser)]
