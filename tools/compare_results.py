"""Two folders of results side by side, those expressions first in which they differ most.

    python tools/compare_results.py runs/a/valid runs/b/valid --frames data/ref-youtube-vos/valid/JPEGImages \\
        --output compare
    python tools/compare_results.py … --ground_truth data/synthetic --split test

Results are <video>/<expression>/<frame>.png, or the palette PNGs of Ref-DAVIS17 in anno_0 … anno_3. It writes
DIR/index.html (one file, nothing fetched), DIR/pictures/ and DIR/agreement.json. With --ground_truth, a data set in
Ref-YouTube-VOS' layout, the truth stands beside them and J tells which of the two is right.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from tools.scoring.agreement import agreement, find_pairs
from tools.scoring.pictures import jpeg_uri
from tools.scoring.side_by_side import Comparison
from tools.scoring.ytvos_truth import read_truth
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder, atomic_write, make_output_folder
from util.processes import available_processors, process_map


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and write the page."""
    args = get_args_parser().parse_args(arguments)
    results = (args.a, args.b)
    for folder in (*results, args.frames):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    if args.workers < 1 or args.most < 0:
        raise InputError("--workers must be 1 or more, --most 0 or more")
    make_output_folder(args.output)
    truth = read_truth(args.ground_truth, args.split, args.expressions) if args.ground_truth else None
    pairs, lonely = find_pairs(results, args.frames, truth)
    with process_map(min(args.workers, len(pairs)), agreement.__module__) as mapped:
        compared = tqdm(mapped(partial(agreement, results), pairs), total=len(pairs), unit="track", disable=None)
        found = sorted(compared, key=lambda one: one.mean)
    write(Comparison(results, args.frames, truth, found, lonely), args.output, args.most)
    print(f"{args.output / 'index.html'}: {len(pairs)} expressions, the least alike {found[0].pair.name}")
    return 0


def write(comparison: Comparison, output: Path, most: int) -> None:
    """JSON, pictures of the `most` least alike, and the index. Raises InputError where they cannot be written."""
    with atomic_write(output / "agreement.json") as temporary:
        temporary.write_text(json.dumps(comparison.as_dict(), indent=1) + "\n")
    pictures = []
    with atomic_folder(output / "pictures") as folder:
        for number, found in enumerate(comparison.found[:most]):
            picture = Image.fromarray(comparison.picture(found))
            picture.save(folder / f"{number:03d}.png")
            pictures.append(jpeg_uri(picture))
    with atomic_write(output / "index.html") as temporary:
        page = comparison.page(pictures)
        # A sentence may hold half a surrogate pair, which JSON can spell and UTF-8 cannot.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def get_args_parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path, metavar="A", help="folder of results")
    parser.add_argument("b", type=Path, metavar="B", help="another one")
    parser.add_argument("--frames", required=True, type=Path, metavar="JPEGImages", help="folder <video>/<frame>.jpg")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="where everything is written")
    parser.add_argument("--ground_truth", type=Path, metavar="PATH", help="a data set with <split>/Annotations")
    parser.add_argument("--split", default="valid", help="of the ground truth (default: valid)")
    parser.add_argument("--expressions", type=Path, metavar="FILE", help="a meta_expressions.json with obj_id")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="expressions in pictures (default: 20)")
    parser.add_argument("--workers", type=int, metavar="N", default=available_processors(), help="how many processes")
    return parser


if __name__ == "__main__":
    exit_on_input_error(main)
