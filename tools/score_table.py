"""A table in Markdown of what tools/evaluate.py --json wrote: a row a method, its mean and spread over its runs.

    python tools/score_table.py --runs tracking runs/tracking_*/scores.json --runs none runs/none_*/scores.json

J&F in percent, overall and for each kind of sentence; ± is the standard deviation of the runs (n − 1).
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from util.errors import InputError, exit_on_input_error
from util.files import atomic_write

OVERALL = "all"
Scores = dict[str, float]  # "all" or kind of sentence → J&F in percent


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs",
        required=True,
        action="append",
        nargs="+",
        metavar=("NAME", "FILE"),
        help="a method, and its runs' scores",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there as well")
    args = parser.parse_args(arguments)
    table = markdown({name: read_method(name, files) for name, *files in args.runs})
    print(table)
    if args.output:
        with atomic_write(args.output) as temporary:
            temporary.write_text(table + "\n", encoding="utf-8")
    return 0


def read_method(name: str, files: Sequence[str]) -> list[Scores]:
    """The scores of each of a method's runs. Raises InputError where there are none to read."""
    if not files:
        raise InputError(f"--runs {name}: give the files with its scores behind its name")
    return [read_scores(Path(file)) for file in files]


def read_scores(file: Path) -> Scores:
    """Overall and by kind. Raises InputError where the file is missing or holds something else."""
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
        parts = {OVERALL: figures["overall"], **figures.get("kinds", {})}
        return {name: 100 * float(means["J&F"]) for name, means in parts.items()}
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: no scores in it; give what tools/evaluate.py --json wrote") from error


def markdown(methods: dict[str, list[Scores]]) -> str:
    """The table. Raises InputError where runs were scored on sets with different kinds of sentences."""
    columns = list(next(iter(methods.values()))[0])
    for name, runs in methods.items():
        if any(set(run) != set(columns) for run in runs):
            raise InputError(f"{name}: not scored on the same set as the others: the kinds of sentences differ")
    rows = [["J&F", "runs", *columns], ["---"] * (len(columns) + 2)]
    for name, runs in methods.items():
        rows.append([name, str(len(runs)), *(cell([run[column] for run in runs]) for column in columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(values: Sequence[float]) -> str:
    """Mean, and spread where there are several."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


if __name__ == "__main__":
    exit_on_input_error(main)
