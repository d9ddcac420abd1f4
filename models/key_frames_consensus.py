"""Consensus: the other candidates' masks, carried onto the best-scored frame, vote on its mask.

After the in-clip consensus of DEVA (Cheng et al., ICCV 2023); here the tracking network itself carries the masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .propagation import Asking, Grounder, KeyFrame, Propagator

SHARPNESS = 2.0  # of the softmax over scores, as in DEVA
MOST_VOTERS = 16  # the best-scored ones: their masks are kept, and memory must not grow with the video


@dataclass(frozen=True)
class Consensus:
    """`propagator` carries a mask over to another frame in one step."""

    propagator: Propagator

    def start_points(self, grounder: Grounder, candidates: Sequence[int]) -> Asking[list[KeyFrame]]:
        """The best-scored candidate; its probability is the mean of all voters', weighted by softmax(2 · score)."""
        voters = yield from grounder.best(candidates, MOST_VOTERS)
        best, *others = voters
        weight, *weights = torch.tensor([SHARPNESS * key.result.score for key in voters]).softmax(0).tolist()
        probability = weight * best.result.probability
        for weight, other in zip(weights, others, strict=True):
            self.propagator.start(other.index, other.mask)
            carried = yield from self.propagator.step(best.index)
            probability = probability + weight * carried.probability
        result = replace(best.result, probability=probability)
        return [KeyFrame(best.index, probability > grounder.threshold, result)]
