"""From the network's numbers to answers: which query, and its mask at the size of the video (spec §4)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BACKGROUND = 0.1  # probability of no object, where objects of one video are merged


def query_scores(logits: Tensor) -> Tensor:
    """Class logits [B, T, Q, K] → each query's score [B, Q]: sigmoid, mean over the clip's frames, best class."""
    return logits.float().sigmoid().mean(1).amax(-1)


def resize_masks(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits [N, Q, h, w] → probabilities [N, Q, H, W] of the unpadded frame, bilinear."""
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False).sigmoid()


def merge_objects(probabilities: Tensor, ids: Sequence[int], threshold: float = 0.5) -> Tensor:
    """Probabilities [O, H, W] of a video's objects → object ids [H, W] uint8 (spec §4, Ref-DAVIS17).

    The most probable object; those under `threshold` count nothing, against a background of 0.1.
    """
    counted = probabilities.masked_fill(probabilities < threshold, 0)
    background = torch.full_like(probabilities[:1], BACKGROUND)
    winner = torch.cat((background, counted)).argmax(0)
    return torch.tensor([0, *ids], dtype=torch.uint8, device=winner.device)[winner]


class BestQueryMasks:
    """Video sets: the clip's best query on each of its frames."""

    def __call__(self, logits: Tensor, masks: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """logits [1, T, Q, K], mask logits [1, T, Q, h, w] → score [] and probabilities [T, H, W]."""
        scores = query_scores(logits)[0]
        best = scores.argmax()
        return scores[best], resize_masks(masks[0, :, best][:, None], size)[:, 0]


class AllQueryMasks:
    """A2D, JHMDB and RefCOCO: every query with its score, of one annotated frame.

    Mask logits ×4 bilinear, threshold, cropped to the unpadded size, nearest to the original one (spec §4).
    """

    def __init__(self, threshold: float = 0.5):
        self.threshold = threshold

    def __call__(
        self, logits: Tensor, masks: Tensor, size: tuple[int, int], original: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """logits [1, 1, Q, K], mask logits [1, 1, Q, h, w] → scores [Q], masks bool [Q, H, W] of size `original`."""
        height, width = masks.shape[-2:]
        probabilities = resize_masks(masks[0], (4 * height, 4 * width))[..., : size[0], : size[1]]
        binary = (probabilities > self.threshold).float()
        return query_scores(logits)[0], F.interpolate(binary, size=original, mode="nearest")[0].to(torch.bool)
