"""From the scores of frames to the figures of an object, a sequence or a set (Perazzi et al., CVPR 2016; spec §6)."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import numpy as np

COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")


@dataclass(frozen=True)
class Figures:
    """Mean, recall (share of frames above 0.5) and decay (loss from the first to the last quarter) of J and F."""

    j_mean: float
    j_recall: float
    j_decay: float
    f_mean: float
    f_recall: float
    f_decay: float

    @classmethod
    def of_frames(cls, j: np.ndarray, f: np.ndarray) -> "Figures":
        """The figures of one object; j, f: [T] its scores in every frame."""
        return cls(*(figure for scores in (j, f) for figure in (scores.mean(), (scores > 0.5).mean(), decay(scores))))

    @classmethod
    def mean(cls, parts: Iterable["Figures"]) -> "Figures":
        """The mean of each figure."""
        return cls(*np.mean([astuple(part) for part in parts], axis=0))

    def as_dict(self) -> dict[str, float]:
        """Name (one of COLUMNS, in their order) → number."""
        numbers = [float(number) for number in ((self.j_mean + self.f_mean) / 2, *astuple(self))]
        return dict(zip(COLUMNS, numbers, strict=True))


def decay(scores: np.ndarray) -> float:
    """Mean of the first quarter of [T] scores minus that of the last; neighbouring quarters share a frame."""
    # The small term breaks the ties of the rounding, half to even, upwards, as in the release.
    ends = np.round(np.linspace(1, len(scores), 5) + 1e-10).astype(int) - 1
    return scores[: ends[1] + 1].mean() - scores[ends[3] :].mean()
