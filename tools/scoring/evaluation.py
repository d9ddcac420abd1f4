"""What is asked of an evaluation, and what every data set's gives: text, JSON, CSV and the report's page."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.scoring.page import Page
from util.errors import InputError
from util.files import first_few


@dataclass(frozen=True)
class Request:
    """The flags of tools/evaluate.py that say what is scored against what."""

    dataset: str
    ground_truth: Path
    results: Path
    split: str = "valid"
    expressions: Path | None = None
    partial: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Evaluation:
    """Scores in every form in which they leave the program.

    text     to print
    figures  for JSON
    csv      what the data set's smallest unit scored, one a line
    page     makes the report's, when asked for
    """

    text: str
    figures: dict[str, Any]
    csv: str
    page: Callable[[], Page]


class LeftOut:
    """Of the `total` expressions whose results lie at `where`, those that cannot be scored, and why."""

    def __init__(self, where: Path, total: int, allowed: bool) -> None:
        self.where, self.total, self.allowed = where, total, allowed
        self.reasons: dict[tuple[str, str], str] = {}  # (video, expression) → the first problem
        self.problems: list[str] = []

    def add(self, problems: Iterable[tuple[tuple[str, str], str]]) -> None:
        """Note what is wrong with expressions."""
        for key, text in problems:
            self.reasons.setdefault(key, text)
            self.problems.append(text)

    def refuse(self) -> None:
        """No score of half a set: raises InputError where there are any, unless `allowed` and something is left."""
        if self.problems and not (self.allowed and len(self.reasons) < self.total):
            advice = "mend that" if self.allowed else "mend that, or score the others with --partial"
            raise InputError(
                f"{self.where}: {len(self.reasons)} of {self.total} expressions cannot be scored; "
                f"{len(self.problems)} problems: {first_few(self.problems)}; {advice}"
            )

    def as_text(self) -> str:
        """A warning that names them, or nothing."""
        if not self.reasons:
            return ""
        return f"PARTIAL: {len(self.reasons)} of {self.total} expressions left out: {first_few(self.reasons.values())}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: all of them."""
        return {"left_out": {"/".join(key): why for key, why in self.reasons.items()}} if self.reasons else {}


def refuse_same_place(results: Path, truth: Path) -> None:
    """Raises InputError where the results are the ground truth or lie in it: they would be scored by themselves."""
    ours, theirs = results.resolve(), truth.resolve()
    if ours == theirs or theirs in ours.parents:
        raise InputError(f"{results}: this is the ground truth itself; give --results what the inference wrote")
