"""The scores of one sequence: frames are read once and forgotten, so memory does not grow with their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from davis2017.label_map import LabelMap
from davis2017.metrics import boundary_accuracies, region_similarities, tolerance_radius
from davis2017.png import read_ids
from davis2017.statistics import Figures
from davis2017.tasks import VOID, Task
from util.errors import InputError


@dataclass(frozen=True)
class SequenceJob:
    """A sequence, and results of it to be scored side by side: all are compared with a frame's truth while it is here.

    frames   paths of the ground truth, all of them
    results  folders with files of the same names
    """

    name: str
    task: Task
    frames: tuple[Path, ...]
    results: tuple[Path, ...]

    @property
    def scored_frames(self) -> tuple[Path, ...]:
        """Those that the task scores."""
        return self.frames if self.task.keeps_ends else self.frames[1:-1]

    def results_of(self, frame: Path) -> list[Path]:
        """Of each results folder, the file for a frame of the ground truth."""
        return [folder / frame.name for folder in self.results]


@dataclass(frozen=True)
class ObjectScore:
    """An object's figures; `name` counts the sequence's objects in the order of the proposals they were matched to."""

    name: str
    object_id: int
    proposal_id: int
    figures: Figures


def score_sequence(job: SequenceJob) -> list[list[ObjectScore]]:
    """Of each results folder, the scores of the sequence's objects.

    The number of objects is the largest id in the first frame; ids that come later are background.

    Raises:
        InputError: a file is broken, an id too large, or the first frame has no object.
    """
    first = read_ids(job.frames[0])
    objects = int(first[first != VOID].max(initial=0))
    if objects == 0:
        raise InputError(f"{job.frames[0]}: the first frame of the ground truth has no object")
    scores: list[list[np.ndarray]] = [[] for _ in job.results]
    for path in job.scored_frames:
        truth, void = _read_truth(path, job.task, objects)
        for result, frames in zip(job.results_of(path), scores, strict=True):
            frames.append(score_frame(_read_proposals(result, job.task, objects), truth, void))
    return [_object_scores(job, frames, objects) for frames in scores]


def score_frame(proposals: np.ndarray, truth: LabelMap, void: np.ndarray | None = None) -> np.ndarray:
    """[2, P + 1, O]: J and F of each pair, for the P that is the largest id in `proposals` ([H, W] uint8; changed).

    The last row is of a proposal that is not in the frame.
    """
    count = int(proposals.max()) + 1
    if void is not None:
        proposals[void] = 0
    prediction = LabelMap(proposals, count, truth.radius)
    return np.stack([region_similarities(prediction, truth), boundary_accuracies(prediction, truth)])


def match(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Proposals and objects (indices from 0, equally many) with the greatest sum of mean (J + F) / 2.

    scores: [2, T, P, O], P ≥ O
    """
    return linear_sum_assignment(scores.mean(axis=(0, 1)), maximize=True)


def _read_truth(path: Path, task: Task, objects: int) -> tuple[LabelMap, np.ndarray | None]:
    ids = read_ids(path)
    void = None
    if ids.max() > objects:
        void = ids == VOID if task.ignores_void else None
        ids[ids > objects] = 0
    return LabelMap(ids, objects, tolerance_radius(*ids.shape)), void


def _read_proposals(path: Path, task: Task, objects: int) -> np.ndarray:
    ids = read_ids(path)
    what, most = (
        ("number of objects", objects) if task.most_proposals is None else ("limit of proposals", task.most_proposals)
    )
    if ids.max() > most:
        raise InputError(f"{path}: id {ids.max()} is larger than {most}, the {what}; pixels must be object ids from 1")
    return ids


def _object_scores(job: SequenceJob, frames: Sequence[np.ndarray], objects: int) -> list[ObjectScore]:
    # As many proposals as in all frames together, filled up to the number of objects with ones that are nowhere.
    count = max(objects, *(len(pairs[0]) - 1 for pairs in frames))
    scores = np.stack([pairs[:, np.minimum(np.arange(count), len(pairs[0]) - 1)] for pairs in frames], axis=1)
    matches = match(scores) if job.task.matched else (np.arange(objects), np.arange(objects))
    return [
        ObjectScore(f"{job.name}_{number}", int(o) + 1, int(p) + 1, Figures.of_frames(*scores[:, :, p, o]))
        for number, (p, o) in enumerate(zip(*matches, strict=True), 1)
    ]
