"""A trained network on a clip of the synthetic set, of which the truth is known: masks, an overlay, and their score.

python -m tools.demo_synthetic --resume pretrained_weights/tf2_mini --output demo_output
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import demo
from datasets.expressions import Expression, VideoEntry, read_meta_expressions, read_videos
from tools.data.synthetic.writer import Plan, make_set
from tools.scoring.evaluation import Request
from tools.scoring.ytvos import evaluate
from util.errors import exit_on_input_error
from util.files import atomic_folder, atomic_write

SPLIT, SEED = "test", 4  # no scene of it is in a training split, whatever the seed of that
SIZE, FRAMES = (240, 426), 16
KIND, SENTENCES = "appearance", 2  # what decides shows in each frame, so that a reader can judge the masks


@dataclass(frozen=True)
class Clip:
    """A made video in a set of its own, and the sentences that are segmented in it."""

    root: Path
    video: VideoEntry
    expressions: tuple[Expression, ...]

    @property
    def frames(self) -> Path:
        return self.root / SPLIT / "JPEGImages" / self.video.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the clip, segment it, score it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--resume", required=True, help="model folder or checkpoint")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="where everything is written")
    args, rest = parser.parse_known_args(arguments)
    clip = make_clip(args.output / "data")
    texts = [part for expression in clip.expressions for part in ("--text", expression.text)]
    where = ("--video", str(clip.frames), "--output", str(args.output), "--resume", args.resume)
    demo.main([*where, *texts, *rest])
    print(score(clip, args.output))
    return 0


def make_clip(root: Path) -> Clip:
    """One video, and its first sentences about the looks of different objects; the set's list names these alone."""
    make_set(Plan(root, {SPLIT: 1}, SEED, SIZE, FRAMES))
    list_file = root / "meta_expressions" / SPLIT / "meta_expressions.json"
    (video,) = read_meta_expressions(list_file)
    content = read_videos(list_file)[video.name]
    about_looks = [e for e in video.expressions if content["expressions"][e.id]["kind"] == KIND]
    firsts = {expression.obj_id: expression for expression in reversed(about_looks)}
    chosen = tuple(e for e in about_looks if e is firsts[e.obj_id])[:SENTENCES]
    kept = {e.id: content["expressions"][e.id] for e in chosen}
    with atomic_write(list_file) as temporary:
        temporary.write_text(json.dumps({"videos": {video.name: {**content, "expressions": kept}}}, indent=1))
    return Clip(root, video, chosen)


def score(clip: Clip, output: Path) -> str:
    """J and F of the masks that the demo wrote, also in scores.json; they are laid out as tools/evaluate.py reads them.

    Raises InputError where a mask is missing.
    """
    results = output / "results"
    with atomic_folder(results) as folder:
        for number, expression in enumerate(clip.expressions):
            masks = demo.results_of(output, number, expression.text).masks
            shutil.copytree(masks, folder / clip.video.name / expression.id)
    evaluation = evaluate(Request("ytvos", clip.root, results, SPLIT))
    with atomic_write(output / "scores.json") as temporary:
        temporary.write_text(json.dumps(evaluation.figures, indent=1))
    return f"\n{evaluation.text}\nscores: {output / 'scores.json'}"


if __name__ == "__main__":
    exit_on_input_error(main)
