"""Nearest of several references: the best quarter of the candidates are all key frames.

The choice is that of HTR; every other frame is propagated from the key frame nearest in time.
"""

from collections.abc import Sequence
from itertools import pairwise

from .propagation import Asking, Grounder, KeyFrame

SHARE = 4  # one candidate in so many is a key frame
MOST_REFERENCES = 16  # their masks are kept, and memory must not grow with the video


class References:
    """The best-scored quarter of the candidates, at least one, each with its own mask."""

    def start_points(self, grounder: Grounder, candidates: Sequence[int]) -> Asking[list[KeyFrame]]:
        """Key frames, best first."""
        count = min(max(len(candidates) // SHARE, 1), MOST_REFERENCES)
        return grounder.best(candidates, count)


def nearest_frames(length: int, keys: Sequence[int]) -> dict[int, range]:
    """Key frame → the frames of a video of `length` that it is nearest to; one in the middle is the earlier key's."""
    ordered = sorted(keys)
    cuts = [0, *((before + after) // 2 + 1 for before, after in pairwise(ordered)), length]
    return {key: range(*cut) for key, cut in zip(ordered, pairwise(cuts), strict=True)}
