"""Your own video: `python demo.py --video clip.mp4 --text "the dog on the left" --resume CHECKPOINT --output DIR`.

Writes masks, an overlay video and a picture of it; several --text give several colours.
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.expressions import normalise_caption
from datasets.video_source import FrameFolder, open_video
from models.tracker import Tracker, load_tracker
from opts import get_args_parser, parse_flags, settings_from
from util.claim import claimed
from util.errors import exit_on_input_error
from util.files import atomic_write
from util.inference_run import TOGETHER
from util.mask_io import read_label_map
from util.results import ExpressionResults, writing_all
from util.video_writer import VideoWriter
from util.visualize import contact_sheet, distinct_colors, draw_caption, overlay

OVERVIEW_FRAMES, OVERVIEW_COLUMNS, OVERVIEW_WIDTH = 9, 3, 1280


def demo_parser() -> argparse.ArgumentParser:
    """All flags of the release, and the demo's own."""
    parser = get_args_parser()
    group = parser.add_argument_group("demo")
    group.add_argument("--video", required=True, type=Path, help="video file, or folder of images")
    group.add_argument("--text", required=True, action="append", help="what to segment; may be given again")
    group.add_argument("--output", default=Path("demo_output"), type=Path, help="where everything is written")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Segment every sentence, then draw them together."""
    args = parse_flags(demo_parser(), arguments)
    settings = settings_from(args)
    with claimed(args.output), open_video(args.video) as video:
        tracker = load_tracker(settings, recorded=True)
        captions = [normalise_caption(text, settings.data.caption_case) for text in args.text]
        for caption in captions:
            tracker.check_caption(caption)
        results = [results_of(args.output, number, text) for number, text in enumerate(args.text)]
        for start in range(0, len(captions), TOGETHER):
            part = slice(start, start + TOGETHER)
            segment(tracker, video, captions[part], results[part])
        draw(video, args.text, results, args.output)
    print(
        f"masks: {args.output / 'masks'}\nvideo: {args.output / 'overlay.mp4'}\npicture: {args.output / 'overview.png'}"
    )
    return 0


def results_of(output: Path, number: int, text: str) -> ExpressionResults:
    """Folders are named by number and sentence."""
    slug = re.sub(r"[^\w]+", "-", text.lower()).strip("-")[:40]
    name = f"{number}-{slug}".strip("-")
    return ExpressionResults(text, masks=output / "masks" / name, record=output / "scores" / f"{name}.json")


def segment(
    tracker: Tracker, video: FrameFolder, captions: Sequence[str], results: Sequence[ExpressionResults]
) -> None:
    """The masks of some sentences, together."""
    with (
        writing_all(results, video, tracker.settings.threshold) as writers,
        tqdm(total=len(video) * len(captions), unit="mask") as bar,
    ):
        for number, frame in tracker.track_together(video, captions):
            writers[number].add(frame)
            bar.update()
    for result, writer in zip(results, writers, strict=True):
        print(f"«{result.text}»: key frame {writer.key_frame}", file=sys.stderr)


def draw(video: FrameFolder, texts: Sequence[str], results: Sequence[ExpressionResults], output: Path) -> None:
    """The overlay video, and a sheet of frames spread over it; masks come back from disk, so memory stays flat."""
    colors = distinct_colors(len(texts))
    chosen = set(np.linspace(0, len(video) - 1, min(OVERVIEW_FRAMES, len(video))).round().astype(int).tolist())
    sheet = []
    with VideoWriter(output / "overlay.mp4", video.fps) as movie:
        for index, name in enumerate(video.names):
            masks = [read_label_map(result.masks / f"{name}.png") > 0 for result in results]
            picture = draw_caption(overlay(video[index], masks, colors), list(zip(texts, colors, strict=True)))
            movie.write(picture)
            if index in chosen:
                sheet.append(picture)
    with atomic_write(output / "overview.png") as temporary:
        Image.fromarray(contact_sheet(sheet, OVERVIEW_COLUMNS, OVERVIEW_WIDTH)).save(temporary)


if __name__ == "__main__":
    exit_on_input_error(main)
