"""Inference without any shortcut, to measure against: eager, a sentence and a frame at a time, every layer's masks.

The operator is plain PyTorch, the backbone runs again for each sentence, and weights stay as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import torch

from datasets.preprocessing import inference_frame
from datasets.reference_frame import black_out, outward
from models.postprocessors import BestQueryMasks
from models.propagation import Video, spread_candidates
from models.tf2 import TF2
from util.memory import keep_freed_memory, usual_memory
from util.structures import Clips

CANDIDATES = 10  # for the key frame
OPERATOR = "models.ops.functions.ms_deform_attn.usable"


@contextmanager
def plain_operator() -> Iterator[None]:
    """Within, deformable attention is plain PyTorch."""
    with patch(OPERATOR, lambda device: False):
        yield


@contextmanager
def plain_inference() -> Iterator[None]:
    """Within, that, without gradients, and memory as the C library has it."""
    usual_memory()
    try:
        with plain_operator(), torch.inference_mode():
            yield
    finally:
        keep_freed_memory()


class PlainTracker:
    """A network, and the short side of what it sees."""

    def __init__(self, network: TF2, short_side: int, threshold: float = 0.5):
        self.network, self.short_side, self.threshold = network.eval(), short_side, threshold
        self.best = BestQueryMasks()

    def track(self, video: Video, caption: str, key_mask: np.ndarray | None) -> dict[int, np.ndarray]:
        """Frame → mask bool [H, W]; from a mask of the middle frame, or from the best of the candidates."""
        with plain_inference():
            key = len(video) // 2
            if key_mask is None:
                key, key_mask = self._key_frame(video, caption)
            masks = {key: key_mask}
            for way in outward(range(len(video)), key):
                reference, mask = key, key_mask
                for index in way:
                    _, mask = self.segment(video[index], caption, black_out(video[reference], mask))
                    masks[index], reference = mask, index
        return masks

    def segment(self, image: np.ndarray, caption: str, reference: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Score, and mask bool [H, W], of one frame."""
        output = self.network(self._clip(image), [caption], None if reference is None else self._clip(reference)).last
        score, probability = self.best(output.logits, output.masks, image.shape[:2])
        return float(score), (probability[0] > self.threshold).numpy()

    def _key_frame(self, video: Video, caption: str) -> tuple[int, np.ndarray]:
        answers = {index: self.segment(video[index], caption) for index in spread_candidates(len(video), CANDIDATES)}
        key = max(answers, key=lambda index: answers[index][0])
        return key, answers[key][1]

    def _clip(self, image: np.ndarray) -> Clips:
        return Clips.unpadded(inference_frame(image, self.short_side)[None, None])
