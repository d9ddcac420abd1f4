"""The true mask of each object's first frame, for --key_masks: how well does a network track what it is shown?

    python tools/data/first_masks.py --ytvos_path data/synthetic --split test --output first_masks
    python inference_ytvos.py --split test --ytvos_path data/synthetic --key_masks first_masks …

Reads the Ref-YouTube-VOS layout with masks and obj_id. The first frame is the first in which the object shows.
--empty writes masks without the object: the reference that tracking then starts from is black, so the difference of
the two scores is what the network gains from its reference.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from datasets.expressions import VideoEntry, read_meta_expressions
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder
from util.mask_io import read_label_map, write_mask


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ytvos_path", type=Path, required=True, metavar="DIR", help="data set")
    parser.add_argument("--split", default="valid", choices=["train", "valid", "test"], help="which videos")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write; new")
    parser.add_argument("--empty", action="store_true", help="the same frames, without the object")
    args = parser.parse_args(arguments)
    if args.output.exists():
        raise InputError(f"{args.output} is there already; choose another --output, or delete it")
    videos = read_meta_expressions(args.ytvos_path / "meta_expressions" / args.split / "meta_expressions.json")
    with atomic_folder(args.output) as folder:
        for video in tqdm(videos, unit="video", disable=None):
            write_video(args.ytvos_path / args.split / "Annotations" / video.name, video, folder, empty=args.empty)
    print(f"{args.output}: masks of {sum(len(video.expressions) for video in videos)} expressions")
    return 0


def write_video(annotations: Path, video: VideoEntry, folder: Path, *, empty: bool) -> None:
    """One mask an expression: folder/<video>/<expression>/<frame>.png. Raises InputError for an object never seen."""
    first: dict[int, tuple[str, np.ndarray]] = {}
    wanted = {_object_id(video, expression.id, expression.obj_id) for expression in video.expressions}
    for frame in video.frames:
        if wanted <= first.keys():
            break
        labels = read_label_map(annotations / f"{frame}.png")
        for label in wanted - first.keys():
            if (labels == label).any():
                first[label] = frame, labels == label
    for expression in video.expressions:
        if int(expression.obj_id) not in first:
            raise InputError(f"{annotations}: no frame shows object {expression.obj_id} of expression {expression.id}")
        frame, mask = first[int(expression.obj_id)]
        target = folder / video.name / expression.id / f"{frame}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mask(target, mask & (not empty))


def _object_id(video: VideoEntry, expression: str, object_id: str | None) -> int:
    if object_id is None:
        raise InputError(
            f'video {video.name!r}, expression {expression!r}: no "obj_id" in the list, which keeps it secret'
        )
    return int(object_id)


if __name__ == "__main__":
    exit_on_input_error(main)
