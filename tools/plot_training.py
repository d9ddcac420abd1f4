"""Draw what runs wrote while they trained: the losses and learning rate of their steps.jsonl, one run behind the other.

    python tools/plot_training.py runs/mini/1_follow runs/mini/2_read --output curves.png

A point is the mean of --window steps. Runs that follow one another, such as the stages of a training, share one axis.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from util.errors import InputError, exit_on_input_error
from util.files import atomic_write

TERMS = {
    "loss": "all terms, weighted",
    "loss_ce": "class",
    "loss_bbox": "box, L1",
    "loss_giou": "box, GIoU",
    "loss_mask": "mask, focal",
    "loss_dice": "mask, Dice",
    "lr": "learning rate",
}  # of the last decoder layer


@dataclass(frozen=True)
class Run:
    """The steps of one run: its name, and each term's values, one a step."""

    name: str
    values: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """From a run's folder. Raises InputError where its steps.jsonl is missing or malformed."""
        file = folder / "steps.jsonl"
        try:
            steps = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            values = {term: np.array([float(step[term]) for step in steps]) for term in TERMS}
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; give a folder that main.py wrote") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not the steps of a run; give a folder that main.py wrote") from error
        if not steps:
            raise InputError(f"{file}: no step in it yet")
        return cls(folder.name, values)

    def __len__(self) -> int:
        return len(self.values["loss"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder that main.py wrote")
    parser.add_argument("--output", required=True, type=Path, metavar="PNG", help="picture to write")
    parser.add_argument("--window", type=int, default=25, metavar="N", help="steps of a point (default: 25)")
    args = parser.parse_args(arguments)
    if args.window < 1:
        raise InputError(f"--window must be 1 or more, it is {args.window}")
    draw([Run.read(folder) for folder in args.runs], args.output, args.window)
    print(args.output)
    return 0


def draw(runs: Sequence[Run], output: Path, window: int) -> None:
    """One panel a term, the runs behind one another, each `window` steps one point."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 4, figsize=(14, 5.5), layout="constrained")
    for (term, title), panel in zip(TERMS.items(), panels.flat, strict=False):
        start = 0
        for run in runs:
            places, means = smoothed(run.values[term], window)
            panel.plot(start + places, means, linewidth=1.2, label=run.name)
            start += len(run)
        panel.set_title(title, fontsize=10)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
    legend = panels.flat[-1]
    legend.axis("off")
    legend.legend(*panels.flat[0].get_legend_handles_labels(), loc="center", title="run")
    figure.supxlabel("step", fontsize=10)
    with atomic_write(output) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    pyplot.close(figure)


def smoothed(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Middles and means of windows of `window` values; the last may be shorter."""
    starts = np.arange(0, len(values), window)
    lengths = np.diff([*starts, len(values)])
    return starts + (lengths - 1) / 2, np.add.reduceat(values, starts) / lengths


if __name__ == "__main__":
    exit_on_input_error(main)
