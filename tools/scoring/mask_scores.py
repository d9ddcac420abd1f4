"""Score one video's binary masks: the ground truth is read once and shared by its expressions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from davis2017.metrics import boundary_accuracy, region_similarity
from tools.scoring.png import HEADER_BYTES, check_header, decode_mask, png_header
from tools.scoring.result_files import ResultFiles, open_results
from util.errors import InputError
from util.mask_io import read_label_map

VOID = 255  # DAVIS' label for pixels that count neither way


@dataclass(frozen=True)
class VideoJob:
    """What of a video is to be scored.

    annotations  folder of <frame>.png, pixels = object ids
    frames       names of the annotated frames, in time
    targets      expression id → object id
    """

    name: str
    annotations: Path
    frames: tuple[str, ...]
    targets: Mapping[str, int]

    def without(self, expressions: set[str]) -> "VideoJob":
        """The job without some of its expressions."""
        return replace(self, targets={key: value for key, value in self.targets.items() if key not in expressions})

    def result(self, expression: str, frame: str) -> str:
        """Name of the mask to be scored."""
        return f"{self.name}/{expression}/{frame}.png"


@dataclass(frozen=True)
class Problem:
    """Why an expression cannot be scored; the text names the file."""

    expression: str
    text: str


@dataclass(frozen=True)
class VideoScores:
    """One video's figures.

    j, f        expression id → float [T], of the expressions without a problem
    problems    what is wrong with the others
    never_seen  expressions whose object is on no annotated frame
    zero_one    masks that hold 0 and 1 instead of 0 and 255
    """

    j: Mapping[str, np.ndarray]
    f: Mapping[str, np.ndarray]
    problems: tuple[Problem, ...] = ()
    never_seen: tuple[str, ...] = ()
    zero_one: int = 0


def header_problems(job: VideoJob, results: ResultFiles) -> Iterator[Problem]:
    """Missing files, and files whose header is not a mask's or not of the ground truth's size; no pixel is decoded."""
    sizes = {frame: _true_size(job.annotations / f"{frame}.png") for frame in job.frames}
    for expression in job.targets:
        for frame in job.frames:
            name = job.result(expression, frame)
            try:
                check_header(png_header(results.read(name, HEADER_BYTES)), sizes[frame])
            except (FileNotFoundError, ValueError) as error:
                yield Problem(expression, f"{name} {error}")


def score_video(results: Path, job: VideoJob) -> VideoScores:
    """Score every expression of `job` by the masks at `results`, frame by frame, so that memory stays flat.

    Raises InputError where the ground truth is broken.
    """
    files = open_results(results)
    figures = {key: np.zeros((2, len(job.frames))) for key in job.targets}
    problems: dict[str, Problem] = {}
    seen: set[int] = set()
    zero_one = 0
    for index, frame in enumerate(job.frames):
        truth = TruthFrame(read_label_map(job.annotations / f"{frame}.png"))
        seen |= truth.objects
        for key in [key for key in job.targets if key not in problems]:
            name = job.result(key, frame)
            try:
                mask = decode_mask(files.read(name), truth.labels.shape)
            except (FileNotFoundError, ValueError) as error:
                problems[key] = Problem(key, f"{name} {error}")
                continue
            zero_one += mask.zero_one
            figures[key][:, index] = truth.scores(mask.pixels, job.targets[key])
    good = [key for key in job.targets if key not in problems]
    return VideoScores(
        j={key: figures[key][0] for key in good},
        f={key: figures[key][1] for key in good},
        problems=tuple(problems.values()),
        never_seen=tuple(key for key in good if job.targets[key] not in seen),
        zero_one=zero_one,
    )


class TruthFrame:
    """One annotated frame: `labels` uint8 [H, W]; an object's mask is made once, whoever asks."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels
        self.objects = set(np.flatnonzero(cv2.calcHist([labels], [0], None, [256], [0, 256])).tolist())
        self.void = labels == VOID if VOID in self.objects else None
        self._masks: dict[int, np.ndarray] = {}

    def mask(self, key: int) -> np.ndarray:
        """bool [H, W] of object `key`."""
        if key not in self._masks:
            self._masks[key] = self.labels == key
        return self._masks[key]

    def scores(self, prediction: np.ndarray, key: int) -> tuple[float, float]:
        """J and F of `prediction`, bool [H, W], for object `key`."""
        pair = prediction, self.mask(key), self.void
        return region_similarity(*pair), boundary_accuracy(*pair)


def _true_size(path: Path) -> tuple[int, int]:
    """(H, W) of a ground-truth mask. Raises InputError where it is no PNG."""
    try:
        with path.open("rb") as file:
            header = png_header(file.read(HEADER_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the ground truth cannot be read ({error}); fetch it again") from error
    return header.height, header.width
