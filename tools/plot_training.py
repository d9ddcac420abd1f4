"""Draw what runs wrote while they trained: the losses and learning rate of their steps.jsonl, one run behind the other.

    python tools/plot_training.py runs/mini/1_follow runs/mini/2_read --output curves.png

A point is the mean of --window steps. Runs that follow one another, such as the stages of a training, share one axis.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from util.errors import InputError, exit_on_input_error
from util.training_curves import Run, draw


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


if __name__ == "__main__":
    exit_on_input_error(main)
