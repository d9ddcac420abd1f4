"""The data doctor: is a data set complete and well-formed, and if not, what to do?

    python tools/data/check.py ytvos --path data/ref-youtube-vos
    python tools/data/check.py a2d --path data/a2d_sentences --deep --json report.json

Quick by default: names, sizes, JSON, and the headers of some files. --deep decodes every file.
Exit code 0: all is well. 1: something needs mending. 2: bad usage or path.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from tools.data.doctor import a2d, davis, jhmdb, refcoco, ytvos
from tools.data.doctor.findings import Report
from tools.data.doctor.visit import Visit
from util.errors import InputError, exit_on_input_error
from util.files import write_json

SETS = {"ytvos": ytvos, "davis": davis, "a2d": a2d, "jhmdb": jhmdb, "refcoco": refcoco}


def check(name: str, path: str | Path, splits: Sequence[str] = (), deep: bool = False) -> Report:
    """Check the data set `name` (a key of SETS) in the folder `path`.

    Args:
        name: which set.
        path: its folder.
        splits: those to check; none: all that are there.
        deep: decode every file.

    Returns:
        What was found; nothing is printed but a progress bar on a terminal.

    Raises:
        InputError: no such folder, or a split that the set has not.
    """
    path = Path(path).resolve()
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; --path is where the data set was unpacked")
    unknown = [split for split in splits if split not in SETS[name].SPLITS]
    if unknown:
        raise InputError(f"{name} has no split {unknown[0]!r}; it has {', '.join(SETS[name].SPLITS)}")
    report = Report(name, path)
    SETS[name].check(Visit(path, tuple(splits), deep), report)
    report.fact(
        "decoded every file that is there" if deep else "looked at names, sizes and some headers; --deep decodes all"
    )
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS, help="which data set")
    parser.add_argument("--path", type=Path, required=True, metavar="DIR", help="its folder")
    parser.add_argument("--split", nargs="+", default=[], help="splits to check (default: all that are there)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--deep", action="store_true", help="decode every file: thorough and slow")
    args = parser.parse_args(arguments)
    report = check(args.set, args.path, args.split, args.deep)
    print(report.text())
    if args.json:
        write_json(args.json, report.as_dict())
    return 0 if report.ok else 1


if __name__ == "__main__":
    exit_on_input_error(main)
