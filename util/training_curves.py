"""What runs wrote while they trained, to look at: the losses and learning rate of their steps.jsonl as a PNG."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from util.errors import InputError
from util.files import atomic_write

STEPS, CURVES = "steps.jsonl", "curves.png"
POINTS = 150  # of a run that is drawn while it trains
TERMS = {
    "loss": "all terms, weighted",
    "loss_ce": "class",
    "loss_bbox": "box, L1",
    "loss_giou": "box, GIoU",
    "loss_mask": "mask, focal",
    "loss_dice": "mask, Dice",
    "lr": "learning rate",
}  # of the last decoder layer
# Around and between the panels, as shares: a layout that is sought would cost more than the drawing.
ROOM = {"left": 0.04, "right": 0.98, "bottom": 0.12, "top": 0.93, "wspace": 0.25, "hspace": 0.3}


@dataclass(frozen=True)
class Run:
    """The steps of one run: its name, and each term's values, one a step."""

    name: str
    values: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """From a run's folder. Raises InputError where its steps.jsonl is missing or malformed."""
        file = folder / STEPS
        try:
            with file.open(encoding="utf-8") as lines:  # line by line: a long run's file is large
                steps = [_terms_of(line) for line in lines]
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; give a folder that main.py wrote") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not the steps of a run; give a folder that main.py wrote") from error
        if not steps:
            raise InputError(f"{file}: no step in it yet")
        return cls(folder.absolute().name, dict(zip(TERMS, np.array(steps).T, strict=True)))

    def __len__(self) -> int:
        return len(self.values["loss"])


def draw_own(folder: Path) -> None:
    """Draw the run in `folder` into it; where that fails, a warning says so, for training goes on without."""
    try:
        run = Run.read(folder)
        draw([run], folder / CURVES, window=-(-len(run) // POINTS))
    except Exception as error:  # a picture is worth no training, whatever a library raises
        print(f"warning: {folder / CURVES} is not drawn: {str(error) or repr(error)}", file=sys.stderr)


def draw(runs: Sequence[Run], output: Path, window: int) -> None:
    """One panel a term, the runs behind one another, each `window` steps one point.

    Raises InputError where `output` cannot be written.
    """
    from matplotlib.figure import Figure  # half a second, for those alone who want pictures

    figure = Figure(figsize=(14, 5.5))
    panels = figure.subplots(2, 4, gridspec_kw=ROOM)
    *of_terms, legend = panels.flat
    for (term, title), panel in zip(TERMS.items(), of_terms, strict=True):
        start = 0
        for run in runs:
            places, means = smoothed(run.values[term], window)
            label = run.name.replace("$", r"\$")  # else a formula
            dots = "." if len(means) == 1 else ""  # one point makes no line
            panel.plot(start + places, means, linewidth=1.2, marker=dots, label=label)
            start += len(run)
        panel.set_title(title, fontsize=10)
        panel.tick_params(labelsize=8)
        panel.ticklabel_format(axis="y", scilimits=(-3, 4))
        panel.locator_params(nbins=5)
        panel.grid(alpha=0.3)
        panel.set_ylim(bottom=0)
    legend.axis("off")
    legend.legend(*of_terms[0].get_legend_handles_labels(), loc="center", title="run")
    figure.supxlabel("step", fontsize=10)
    with atomic_write(output) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def smoothed(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Middles and means of windows of `window` values; the last may be shorter."""
    starts = np.arange(0, len(values), window)
    lengths = np.diff([*starts, len(values)])
    return starts + (lengths - 1) / 2, np.add.reduceat(values, starts) / lengths


def _terms_of(line: str) -> list[float]:
    step = json.loads(line)
    return [float(step[term]) for term in TERMS]
