"""A whole set: results are checked, then sequences are scored in several processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from davis2017.checks import is_the_truth, problems_of
from davis2017.ground_truth import GroundTruth
from davis2017.scoring import ObjectScore, SequenceJob, score_sequence
from davis2017.statistics import Figures
from davis2017.tasks import Task
from util.errors import InputError
from util.processes import process_map

SHOWN = 10  # offenders in a message


@dataclass(frozen=True)
class SetScores:
    """The scores of one results folder: sequence → its objects, in the order of the set."""

    sequences: Mapping[str, Sequence[ObjectScore]]

    @property
    def objects(self) -> list[ObjectScore]:
        """Those of all sequences."""
        return [score for objects in self.sequences.values() for score in objects]

    @property
    def total(self) -> Figures:
        """The mean over all objects."""
        return Figures.mean(score.figures for score in self.objects)


@dataclass(frozen=True)
class Evaluation:
    """The scores of several results folders on the same sequences, and why others were left out."""

    results: tuple[SetScores, ...]
    left_out: tuple[str, ...]


def evaluate(
    truth: GroundTruth, results: Sequence[Path], task: Task, workers: int, *, partial: bool = False
) -> Evaluation:
    """Score `results`, folders that hold a folder a sequence; a sequence is left out of all where one lacks it.

    partial: leave out sequences that cannot be scored, instead of scoring none

    Raises:
        InputError: something is wrong with the results (and `partial` does not allow it); the first offenders.
    """
    jobs = [
        SequenceJob(name, task, tuple(truth.folder / name / f for f in frames), tuple(r / name for r in results))
        for name, frames in truth.frames.items()
    ]
    problems = {job.name: problems_of(job) for job in jobs}
    left_out = _allowed([line for lines in problems.values() for line in lines], partial)
    jobs = [job for job in jobs if not problems[job.name]]
    for number, folder in enumerate(results):
        if is_the_truth(jobs, number):
            raise InputError(f"{folder}: these are the ground truth's own files ({truth.folder}), not results")
    outcomes = dict(zip([job.name for job in jobs], score_all(jobs, workers), strict=True))
    left_out += _allowed([outcome for outcome in outcomes.values() if isinstance(outcome, str)], partial)
    scores = {name: outcome for name, outcome in outcomes.items() if not isinstance(outcome, str)}
    if not scores:
        raise InputError("no sequence can be scored:" + _list(left_out))
    of_results = [{name: outcome[number] for name, outcome in scores.items()} for number in range(len(results))]
    return Evaluation(tuple(SetScores(sequences) for sequences in of_results), tuple(left_out))


def score_all(jobs: Sequence[SequenceJob], workers: int) -> list[list[list[ObjectScore]] | str]:
    """The scores of each job, or why there are none; several processes begin with the longest.

    Raises:
        InputError: a process was killed.
    """
    order = sorted(range(len(jobs)), key=lambda number: -len(jobs[number].frames))
    with process_map(min(workers, len(jobs)), "davis2017.evaluation") as mapped:
        outcomes = dict(zip(order, mapped(_score, [jobs[number] for number in order]), strict=True))
    return [outcomes[number] for number in range(len(jobs))]


def _score(job: SequenceJob) -> list[list[ObjectScore]] | str:
    try:
        return score_sequence(job)
    except InputError as error:
        return str(error)


def _allowed(problems: list[str], partial: bool) -> list[str]:
    if problems and not partial:
        raise InputError("nothing is scored; --partial leaves out these sequences:" + _list(problems))
    return problems


def _list(lines: Sequence[str]) -> str:
    rest = len(lines) - SHOWN
    return " " + "; ".join([*lines[:SHOWN], *([f"and {rest} more"] if rest > 0 else [])])
