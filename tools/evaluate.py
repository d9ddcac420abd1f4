"""Score results by the ground truth that you have, and see where they fail.

    python tools/evaluate.py --dataset ytvos --ground_truth data/synthetic --results out/valid --json scores.json
    python tools/evaluate.py --dataset davis --ground_truth data/ref-davis/DAVIS --results out/valid --report report
    python tools/evaluate.py --dataset a2d --ground_truth ground_truth.json --results predictions_a2d.json

ytvos: J and F of each expression; --results is the folder <video>/<expression>/<frame>.png or the submission zip.
davis: the DAVIS evaluation (as eval_davis.py) of a folder of palette PNGs, or of anno_0 … anno_3.
a2d, jhmdb: average precision, P@K and IoUs of a predictions JSON; --ground_truth is the COCO file.
Exit code 2 where something cannot be scored: the first offenders are named.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from tools.scoring.evaluation import Request
from tools.scoring.page import write_report
from util.errors import InputError, exit_on_input_error
from util.files import atomic_write, make_output_folder
from util.processes import available_processors

# Each is a module tools.scoring.<name> with evaluate(request); imported when asked for, as processes import this file.
SCORERS = {"ytvos": "ytvos", "davis": "davis", "a2d": "referring", "jhmdb": "referring"}


def main() -> None:
    """Score, print, and write what was asked for."""
    args = get_args_parser().parse_args()
    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: at least one process is needed")
    for folder in [path.parent for path in (args.json, args.csv) if path] + [args.report] * bool(args.report):
        make_output_folder(folder)
    request = Request(
        dataset=args.dataset,
        ground_truth=args.ground_truth,
        results=args.results,
        split=args.split,
        expressions=args.expressions,
        partial=args.partial,
        workers=args.workers,
    )
    evaluation = importlib.import_module(f"tools.scoring.{SCORERS[args.dataset]}").evaluate(request)
    print(evaluation.text)
    given = {"dataset": args.dataset, "ground_truth": str(args.ground_truth), "results": str(args.results)}
    if args.json:
        _write(args.json, json.dumps(given | evaluation.figures, indent=1) + "\n")
    if args.csv:
        _write(args.csv, evaluation.csv)
    if args.report:
        print(write_report(evaluation.page(), args.report))


def get_args_parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, choices=SCORERS, help="whose layout and scores")
    parser.add_argument("--ground_truth", required=True, type=Path, metavar="PATH", help="its folder or file")
    parser.add_argument("--results", required=True, type=Path, metavar="PATH", help="what the inference wrote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a line an expression (davis: an object)")
    parser.add_argument("--report", type=Path, metavar="DIR", help="a page with tables, curves and the worst frames")
    parser.add_argument("--partial", action="store_true", help="score what is there, and name what is left out")
    parser.add_argument("--workers", type=int, metavar="N", default=available_processors(), help="how many processes")
    parser.add_argument("--split", default="valid", help="of ytvos (default: valid); of davis, valid is its set val")
    parser.add_argument(
        "--expressions",
        type=Path,
        metavar="FILE",
        help="ytvos: a meta_expressions.json with obj_id, where the data set's own keeps it secret",
    )
    return parser


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        # A sentence may hold half a surrogate pair, which JSON can spell and UTF-8 cannot.
        temporary.write_text(text, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    exit_on_input_error(main)
