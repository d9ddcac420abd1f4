"""Score Ref-DAVIS17 results by davis2017, as eval_davis.py does, and follow each object over time for the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from davis2017.evaluation import evaluate as evaluate_set
from davis2017.ground_truth import GroundTruth, read_ground_truth
from davis2017.report import Report
from davis2017.statistics import COLUMNS, Figures
from davis2017.tasks import TASKS
from eval_davis import result_folders
from tools.scoring.evaluation import Evaluation, Request, refuse_same_place
from tools.scoring.mask_scores import TruthFrame
from tools.scoring.page import Page, Shot, Table
from tools.scoring.pictures import frame_or_blank
from tools.scoring.tracks import Track, csv_text
from util.mask_io import read_label_map
from util.processes import process_map

TASK = TASKS["unsupervised"]  # Ref-DAVIS17's
SETS = {"valid": "val"}  # DAVIS' names of splits, where they differ


def evaluate(request: Request) -> Evaluation:
    """Check every file, score, and sum up. Raises InputError where anything given is wrong."""
    set_name = SETS.get(request.split, request.split)
    truth = read_ground_truth(request.ground_truth, set_name, TASK)
    refuse_same_place(request.results, truth.folder)
    folders, missing = result_folders(request.results, partial=request.partial)
    found = evaluate_set(truth, list(folders.values()), TASK, request.workers, partial=request.partial)
    report = Report(dict(zip(folders, found.results, strict=True)), (*missing, *found.left_out))
    return Scored(request, truth, folders, report).evaluation()


@dataclass(frozen=True)
class Followed:
    """An object of a sequence, and the proposal in one results folder (`label`: its name) that it was matched to."""

    label: str
    results: Path
    object_id: int
    proposal_id: int

    @property
    def id(self) -> str:
        return f"{self.label} object {self.object_id}".strip()

    def masks(self, truth: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """What was predicted of it and what is true, bool [H, W] each, for the truth's ids of the frame `name`."""
        return read_label_map(self.results / name) == self.proposal_id, truth == self.object_id


@dataclass(frozen=True)
class ScoredSequence:
    """A scored sequence: `truth` is the folder of its `frames` (file names)."""

    truth: Path
    frames: tuple[str, ...]
    objects: tuple[Followed, ...]

    @property
    def name(self) -> str:
        return self.truth.name


def tracks_of(sequence: ScoredSequence) -> list[Track]:
    """J and F of every object in every frame. Raises InputError where a file is broken."""
    scores = np.zeros((2, len(sequence.objects), len(sequence.frames)))
    for index, name in enumerate(sequence.frames):
        truth = TruthFrame(read_label_map(sequence.truth / name))
        for number, followed in enumerate(sequence.objects):
            prediction, _ = followed.masks(truth.labels, name)
            scores[:, number, index] = truth.scores(prediction, followed.object_id)
    frames = tuple(Path(name).stem for name in sequence.frames)
    return [
        Track(sequence.name, followed.id, "", (), frames, j, f)
        for followed, j, f in zip(sequence.objects, *scores, strict=True)
    ]


@dataclass(frozen=True)
class Scored:
    """A set whose sequences have all been scored; `folders`: results by their names, as in `report`."""

    request: Request
    truth: GroundTruth
    folders: Mapping[str, Path]
    report: Report

    def evaluation(self) -> Evaluation:
        """Text, JSON, CSV and page."""
        rows = [
            {"results": label, "sequence": name, "object": score.object_id, "proposal": score.proposal_id}
            | score.figures.as_dict()
            for label, scores in self.report.results.items()
            for name, objects in scores.sequences.items()
            for score in objects
        ]
        figures = {
            **{name: part.as_dict() for name, part in self.means().items()},
            "sequences": {name: part.as_dict() for name, part in self.report.sequences.items()},
            "objects": rows,
            "left_out": list(self.report.left_out),
        }
        text = "\n".join([self.report.as_text(), self.scope()])
        return Evaluation(text, figures, csv_text(rows), self.page)

    def page(self) -> Page:
        """Tables and tracks; the frames' scores are computed for it, because the report's figures are means."""
        sequences = {name: self.sequence(name) for name in self.report.sequences}
        with process_map(min(self.request.workers, len(sequences)), __name__) as mapped:
            tracks = list(mapped(tracks_of, sequences.values()))
        return Page(
            title=f"J&F {self.means()['overall'].as_dict()['J&F-Mean']:.4f}: {self.request.results}",
            facts=[self.scope(), *(f"left out: {reason}" for reason in self.report.left_out)],
            tables=[_table("Means over objects", self.means()), _table("Sequences", self.report.sequences)],
            tracks=[track for part in tracks for track in part],
            shot=partial(self.shot, sequences),
        )

    def means(self) -> dict[str, Figures]:
        """Overall, which is the mean of the annotations where there are several, and each of them."""
        parts = {label: scores.total for label, scores in self.report.results.items() if label}
        return {"overall": self.report.total, **parts}

    def scope(self) -> str:
        """What was scored."""
        return f"{len(self.report.sequences)} of {len(self.truth.frames)} sequences scored against {self.truth.folder}"

    def sequence(self, name: str) -> ScoredSequence:
        """A sequence with its objects in all results."""
        objects = tuple(
            Followed(label, self.folders[label] / name, score.object_id, score.proposal_id)
            for label, scores in self.report.results.items()
            for score in scores.sequences[name]
        )
        return ScoredSequence(self.truth.folder / name, self.truth.frames[name], objects)

    def shot(self, sequences: Mapping[str, ScoredSequence], track: Track, index: int) -> Shot:
        """One frame of an object; its picture where JPEGImages lies as in DAVIS."""
        sequence = sequences[track.video]
        name = sequence.frames[index]
        followed = next(followed for followed in sequence.objects if followed.id == track.id)
        labels = read_label_map(sequence.truth / name)
        pictures = self.request.ground_truth / "JPEGImages" / self.truth.folder.name / sequence.name
        image = frame_or_blank(pictures / f"{track.frames[index]}.jpg", labels.shape)
        return Shot(image, *followed.masks(labels, name))


def _table(title: str, parts: Mapping[str, Figures]) -> Table:
    return Table(title, ("", *COLUMNS), [(name, *figures.as_dict().values()) for name, figures in parts.items()])
