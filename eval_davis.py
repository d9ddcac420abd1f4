"""DAVIS 2017 evaluation: J and F of a folder of results, or of Ref-DAVIS17's four annotations and their mean.

python eval_davis.py --results_path DIR [--davis_path DIR] [--set val] [--task unsupervised] [--json FILE]

DIR holds <sequence>/<frame>.png, or such folders under anno_0 … anno_3. Tables (CSV) are written there.
"""

import argparse
from pathlib import Path

from davis2017.evaluation import evaluate
from davis2017.ground_truth import read_ground_truth
from davis2017.report import Report
from davis2017.tasks import TASKS
from util.errors import InputError, exit_on_input_error
from util.processes import available_processors

ANNOTATIONS = tuple(f"anno_{number}" for number in range(4))


def main() -> None:
    """Check, score, print, and write the tables."""
    args = get_args_parser().parse_args()
    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: at least one process is needed")
    task = TASKS[args.task]
    truth = read_ground_truth(args.davis_path, args.set, task)
    folders, missing = result_folders(args.results_path, partial=args.partial)
    evaluation = evaluate(truth, list(folders.values()), task, args.workers, partial=args.partial)
    report = Report(dict(zip(folders, evaluation.results, strict=True)), (*missing, *evaluation.left_out))
    print(f"ground truth: {truth.folder}")
    print(f"{task.name}, {args.set}: {len(report.sequences)} of {len(truth.frames)} sequences")
    print(report.as_text())
    if args.json:
        run = {"task": task.name, "set": args.set, "ground_truth": str(truth.folder)}
        report.write_json(args.json, run)
    report.write_tables(args.results_path, args.set)


def result_folders(root: Path, *, partial: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Folders by their names under `root`: those of the four annotations, or "" alone; and what is missing.

    Raises:
        InputError: there is no such folder, or (if not `partial`) it has some of the annotations only.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --results_path is where the predicted masks are")
    names = [name for name in ANNOTATIONS if (root / name).is_dir()]
    missing = tuple(f"{root / name}: no such folder" for name in ANNOTATIONS if names and name not in names)
    if missing and not partial:
        raise InputError("; ".join(missing) + "; --partial takes the mean over the other annotations")
    return {name: root / name for name in names or [""]}, missing


def get_args_parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--results_path", metavar="DIR", type=Path, required=True, help="folder with the predicted masks"
    )
    parser.add_argument(
        "--davis_path",
        metavar="DIR",
        type=Path,
        default="data/ref-davis/DAVIS",
        help="folder with ImageSets (default: data/ref-davis/DAVIS)",
    )
    parser.add_argument("--set", default="val", help="name of the list of sequences in ImageSets/2017 (default: val)")
    parser.add_argument(
        "--task", choices=TASKS, default="unsupervised", help="Ref-DAVIS17's is unsupervised, the default"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="file for all figures")
    parser.add_argument("--workers", metavar="N", type=int, default=available_processors(), help="how many processes")
    parser.add_argument("--partial", action="store_true", help="leave out what is missing or wrong, and say so")
    return parser


if __name__ == "__main__":
    exit_on_input_error(main)
