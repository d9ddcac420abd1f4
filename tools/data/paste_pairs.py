"""Make clips in which the object of one clip moves through another: real pixels, true masks, and sentences that decide.

    python tools/data/paste_pairs.py --input data/ref-youtube-vos --output data/pasted --pairs 1000 --twins 0.2

Reads and writes the Ref-YouTube-VOS layout (also what convert_davis_to_ytvos.py makes). In a result, object 1 is the
host's, object 2 the pasted one. Two objects are put together only where sentences tell them apart (rule:
tools/data/pasting/words.py). A twin is an object pasted into its own clip: only the track tells the two apart. Each
expression has a "kind": "pair" where it holds for its object alone, "twin" where it holds for both.

The same seed gives the same bytes, whatever --workers is. A run that was cut off goes on with the same command, and
one with more --pairs adds to what is there. The list of expressions is written last.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from tools.data.pasting.clips import SMALL_SIDE
from tools.data.pasting.making import Workshop
from tools.data.pasting.pairing import TWIN, Plan, pair_plans, twin_plans
from tools.data.pasting.paths import SHORTEST
from tools.data.pasting.subjects import read_subjects
from util.errors import InputError, exit_on_input_error
from util.files import make_output_folder, write_json
from util.names import is_safe_name
from util.processes import process_map

SETTINGS = "pasting.json"
TRIES = 10  # plans tried a clip wanted, and
FEWEST_TRIES = 50  # at the least
SHOWN_FAILURES = 10

MakeAll = Callable[[Sequence[Plan]], Iterable[dict | str]]


def paste_pairs(args: argparse.Namespace) -> None:
    """Make the clips that the command line asks for.

    Raises:
        InputError: the input cannot be read, no two objects fit together, or the output is not this run's.
    """
    _check(args)
    subjects = read_subjects(args.input, args.split)
    target = args.output / args.output_split
    _claim(args, target)
    workshop = Workshop(args.input / args.split, target, args.size, args.max_frames)
    twins = round(args.pairs * args.twins)
    made, failures = {}, Counter()
    with (
        process_map(args.workers, Workshop.__module__) as mapped,
        tqdm(total=args.pairs, unit="clip", disable=None) as bar,
    ):
        for plans, wanted in (
            (pair_plans(subjects, args.seed), args.pairs - twins),
            (twin_plans(subjects, args.seed), twins),
        ):
            for name, result in _make(partial(mapped, workshop.make), plans, wanted):
                if isinstance(result, str):
                    failures[result] += 1
                else:
                    made[name] = result
                    bar.update()
    if not made:
        raise InputError(f"{args.input}: no clip can be made: {_commonest(failures)}")
    _write_lists(args, made)
    for reason, times in failures.most_common(SHOWN_FAILURES):
        print(f"{times} of {len(made) + failures.total()} plans left out: {reason}")
    print(f"{len(made)} of {args.pairs} clips, {len(made) - _twins(made)} pairs and {_twins(made)} twins -> {target}")


def _make(make_all: MakeAll, plans: Iterator[Plan], wanted: int) -> Iterator[tuple[str, dict | str]]:
    """Carry out plans until as many as wanted are made; yield (name, record or what is in the way), in their order."""
    left, tried = wanted, 0
    while left and tried < max(TRIES * wanted, FEWEST_TRIES):
        # Only as many as are missing: what is made must not depend on the number of workers.
        batch = list(islice(plans, left))
        if not batch:
            return
        tried += len(batch)
        for plan, result in zip(batch, make_all(batch), strict=True):
            left -= not isinstance(result, str)
            yield plan.name, result
        if left == wanted and tried >= FEWEST_TRIES:
            return


def _check(args: argparse.Namespace) -> None:
    """Refuse numbers and names that make no sense."""
    for flag, good, rule in (
        ("pairs", args.pairs >= 1, "1 or more"),
        ("twins", 0 <= args.twins <= 1, "a share from 0 to 1"),
        ("seed", args.seed >= 0, "0 or more"),
        ("size", args.size >= SMALL_SIDE, f"{SMALL_SIDE} pixels or more"),
        ("max_frames", args.max_frames is None or args.max_frames >= SHORTEST, f"{SHORTEST} or more"),
        ("workers", args.workers >= 1, "1 or more"),
        ("split", is_safe_name(args.split), "a folder's name"),
        ("output_split", is_safe_name(args.output_split), "a folder's name"),
    ):
        if not good:
            raise InputError(f"--{flag} must be {rule}, it is {getattr(args, flag)!r}")


def _claim(args: argparse.Namespace, target: Path) -> None:
    """Make the output split this run's, or find that it is; another's is left alone."""
    file = target / SETTINGS
    settings = {name: getattr(args, name) for name in ("split", "seed", "size", "max_frames")}
    settings = {"input": str(args.input.resolve()), **settings}
    if file.exists():
        if _read_settings(file) != settings:
            raise InputError(f"{file}: made with other settings; give those, choose another --output, or delete it all")
        return
    foreign = next((path for path in (*_lists(args), *target.glob("*")) if path.exists()), None)
    if foreign is not None:
        raise InputError(f"{foreign}: not made by this tool; choose another --output or --output_split")
    make_output_folder(target)
    write_json(file, settings)


def _read_settings(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _lists(args: argparse.Namespace) -> tuple[Path, Path]:
    """meta.json and meta_expressions.json."""
    split = args.output_split
    return args.output / split / "meta.json", args.output / "meta_expressions" / split / "meta_expressions.json"


def _write_lists(args: argparse.Namespace, made: Mapping[str, dict]) -> None:
    for file, parts in zip(_lists(args), (("objects",), ("expressions", "frames")), strict=True):
        videos = {name: {part: record[part] for part in parts} for name, record in made.items()}
        write_json(file, {"videos": videos})


def _commonest(failures: Counter) -> str:
    return failures.most_common(1)[0][0] if failures else "sentences tell no two of its objects apart"


def _twins(made: Mapping[str, dict]) -> int:
    return sum(name.startswith(TWIN) for name in made)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--input", type=Path, required=True, metavar="DIR", help="data set in Ref-YouTube-VOS layout, with masks")
    add("--split", default="train", help="part of it to read (default: %(default)s)")
    add("--output", type=Path, required=True, metavar="DIR", help="data set to write")
    add("--output_split", default="train", help="part of it to write (default: %(default)s)")
    add("--pairs", type=int, required=True, metavar="N", help="clips to make, twins among them")
    add("--twins", type=float, default=0.0, metavar="SHARE", help="of the clips (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="S", help="decides everything (default: %(default)s)")
    add("--size", type=int, default=288, help="short side; smaller hosts stay as they are (default: %(default)s)")
    add("--max_frames", type=int, metavar="N", help="of a clip (default: the host's)")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    paste_pairs(parser.parse_args(arguments))


if __name__ == "__main__":
    exit_on_input_error(main)
