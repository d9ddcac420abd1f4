"""A synthetic, diagnostic set in Ref-YouTube-VOS layout: what can a network tell apart by language? docs/synthetic.md

    python tools/data/make_synthetic.py --output data/synthetic --videos 2000 --seed 0 --workers 2

The same flags give the same bytes, whatever --workers. A run that was cut off goes on with the same command.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from tools.data.synthetic.backgrounds import find_pictures
from tools.data.synthetic.writer import Plan, make_set
from util.errors import exit_on_input_error

LEAST_SIDE, MOST_SIDE = 64, 2160
LEAST_FRAMES, MOST_FRAMES = 8, 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    share = max(20, args.videos // 10)
    plan = Plan(
        root=args.output,
        videos={
            "train": args.videos,
            "valid": share if args.valid is None else args.valid,
            "test": share if args.test is None else args.test,
        },
        seed=args.seed,
        size=args.size,
        frames=args.frames,
        backgrounds=tuple(find_pictures(args.backgrounds)) if args.backgrounds else (),
        simple=args.simple,
    )
    make_set(plan, args.workers)
    print(f"{args.output}: {', '.join(f'{count} videos in {split}' for split, count in plan.videos.items())}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    some, any_number = _whole_number(1), _whole_number(0)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the set; new or empty")
    parser.add_argument("--videos", type=some, required=True, metavar="N", help="training videos")
    parser.add_argument(
        "--valid", type=any_number, metavar="N", help="validation videos (default: a tenth, at least 20)"
    )
    parser.add_argument("--test", type=any_number, metavar="N", help="test videos (default: a tenth, at least 20)")
    parser.add_argument("--seed", type=any_number, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="pictures or folders of frames to be used")
    parser.add_argument("--size", type=_size, default=(192, 336), metavar="HxW", help="of frames (default: 192x336)")
    parser.add_argument(
        "--simple",
        type=any_number,
        default=0,
        metavar="N",
        help="up to N sentences more for each thing in train, by its looks alone and easy: to learn words by",
    )
    frames = _whole_number(LEAST_FRAMES, MOST_FRAMES)
    parser.add_argument("--frames", type=frames, default=16, metavar="T", help="frames a video (default: 16)")
    parser.add_argument("--workers", type=some, default=1, metavar="N", help="processes (default: 1)")
    return parser


def _whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least or (most and int(text) > most):
            limits = f"from {least} to {most}" if most else f"of at least {least}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {limits}")
        return int(text)

    return read


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in size):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH of {LEAST_SIDE} to {MOST_SIDE} pixels each")
    return size


if __name__ == "__main__":
    exit_on_input_error(main)
