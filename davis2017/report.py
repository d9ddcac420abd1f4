"""Scores as tables: CSV under the names and columns of the release, JSON, and text."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from davis2017.evaluation import SetScores
from davis2017.statistics import COLUMNS, Figures
from util.files import atomic_write


@dataclass(frozen=True)
class Report:
    """Scores of one results folder (named "") or of several annotations, by their folders' names.

    left_out  what is not in the figures, and why, a line each
    """

    results: Mapping[str, SetScores]
    left_out: tuple[str, ...]

    @property
    def total(self) -> Figures:
        """The figures of the set, or their mean over the annotations."""
        return Figures.mean(scores.total for scores in self.results.values())

    @property
    def sequences(self) -> dict[str, Figures]:
        """The mean over a sequence's objects (numbered apart in each annotation) and over the annotations."""
        first = next(iter(self.results.values()))
        return {
            name: Figures.mean(score.figures for scores in self.results.values() for score in scores.sequences[name])
            for name in first.sequences
        }

    def as_text(self) -> str:
        """What was left out, and a table with a line for each annotation and one for all."""
        rows = {name: scores.total for name, scores in self.results.items() if name}
        rows["mean" if rows else "all"] = self.total
        width = max(map(len, rows))
        lines = [f"left out: {reason}" for reason in self.left_out]
        lines.append(" " * width + "".join(f"{column:>10}" for column in COLUMNS))
        for name, figures in rows.items():
            lines.append(f"{name:<{width}}" + "".join(f"{number:>10.4f}" for number in figures.as_dict().values()))
        return "\n".join(lines)

    def write_json(self, path: Path, run: Mapping[str, Any]) -> None:
        """Write `run` (what was scored, and how) and all figures, unrounded. Raises InputError."""
        content = {**run, "left_out": self.left_out, **self.total.as_dict()}
        content["per_sequence"] = {name: figures.as_dict() for name, figures in self.sequences.items()}
        annotations = {name: _as_dict(scores) for name, scores in self.results.items()}
        content |= annotations.get("", {"annotations": annotations})
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")

    def write_tables(self, root: Path, set_name: str) -> None:
        """Write the two tables into each results folder under `root`, and those of the mean into `root`.

        `global_results-<set>.csv` and `per-sequence_results-<set>.csv`, the latter with a row an object, for the mean
        a row a sequence. Raises InputError.
        """
        for name, scores in self.results.items():
            _write_tables(root / name, set_name, scores.total, {score.name: score.figures for score in scores.objects})
        if "" not in self.results:
            _write_tables(root, set_name, self.total, self.sequences)


def _as_dict(scores: SetScores) -> dict[str, Any]:
    objects = {
        score.name: {"object": score.object_id, "proposal": score.proposal_id, **score.figures.as_dict()}
        for score in scores.objects
    }
    return {**scores.total.as_dict(), "per_object": objects}


def _write_tables(folder: Path, set_name: str, total: Figures, parts: Mapping[str, Figures]) -> None:
    _write_csv(folder / f"global_results-{set_name}.csv", [COLUMNS, _cells(total)])
    rows = [("Sequence", *COLUMNS), *((name, *_cells(figures)) for name, figures in parts.items())]
    _write_csv(folder / f"per-sequence_results-{set_name}.csv", rows)


def _cells(figures: Figures) -> list[str]:
    return [f"{number:.6f}" for number in figures.as_dict().values()]


def _write_csv(path: Path, rows: Iterable[Iterable[str]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
