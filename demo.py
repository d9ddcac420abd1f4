"""Your own video: `python demo.py --video clip.mp4 --text "the dog on the left" --resume CHECKPOINT --output DIR`.

Writes masks, an overlay video and a picture of it; several --text give several colours. `python demo.py --web` serves
a page in the browser instead.
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from datasets.expressions import VideoEntry, normalise_caption
from datasets.key_frames import KeyChoice, KeyFrameFiles
from datasets.video_source import FrameFolder, open_video
from models.tracker import Tracker, load_tracker
from opts import DATA_FLAGS, get_args_parser, parse_flags, settings_from
from util.claim import claimed
from util.errors import InputError, exit_on_input_error
from util.inference_run import TOGETHER
from util.results import ExpressionResults, writing_all
from util.score_plot import write_score_plot
from util.settings import Settings
from util.track_pictures import Tracks, write_overview
from util.track_record import TrackRecord
from util.video_writer import VideoWriter
from web import serve
from web.flags import DEFAULT_MODEL, add_web_flags


def demo_parser() -> argparse.ArgumentParser:
    """All flags of the release, and the demo's own."""
    parser = get_args_parser(__doc__, training=False)
    group = parser.add_argument_group("demo")
    group.add_argument("--video", type=Path, help="video file, image, or folder of images")
    group.add_argument("--text", action="append", help="what to segment; may be given again")
    group.add_argument("--output", dest="output_dir", type=Path, help="where everything is written")
    parser.set_defaults(output_dir=Path("demo_output"))
    parser.leave_out(*DATA_FLAGS, "output_dir")
    add_web_flags(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page, or segment a video."""
    parser = demo_parser()
    if parser.parse_args(arguments).web:
        parser.set_defaults(resume=DEFAULT_MODEL)
    args = parse_flags(parser, arguments)
    settings = settings_from(args)
    if args.web:
        return serve(settings, args)
    if not (args.video and args.text):
        raise InputError("give --video and --text, or --web for a page in the browser")
    segment_video(settings, args)
    return 0


def segment_video(settings: Settings, args: argparse.Namespace) -> None:
    """Segment every sentence, then draw them together."""
    output = args.output_dir
    with claimed(output), open_video(args.video) as video:
        tracker = load_tracker(settings, recorded=True)
        captions = [normalise_caption(text, settings.data.caption_case) for text in args.text]
        for caption in captions:
            tracker.check_caption(caption)
        given = given_keys(settings, named(args.video), video.names, len(captions))
        marks = settings.inference.visualize
        results = [replace(results_of(output, n, text), marks=marks) for n, text in enumerate(args.text)]
        records = []
        for start in range(0, len(captions), TOGETHER):
            part = slice(start, start + TOGETHER)
            records += segment(tracker, video, captions[part], results[part], given[part])
        draw(video, records, results, output)
        if settings.inference.visualize:
            write_score_plot(video.names, records, output / "scores.png")
            print(f"scores: {output / 'scores.png'}")
    print(f"masks: {output / 'masks'}\nvideo: {output / 'overlay.mp4'}\npicture: {output / 'overview.png'}")


def results_of(output: Path, number: int, text: str) -> ExpressionResults:
    """Folders are named by number and sentence."""
    slug = re.sub(r"[^\w]+", "-", text.lower()).strip("-")[:40]
    name = f"{number}-{slug}".strip("-")
    return ExpressionResults(text, masks=output / "masks" / name, record=output / "scores" / f"{name}.json")


def named(video: Path) -> str:
    """What --key_frames and --key_masks call a video: its file without suffix, or its folder."""
    path = video.resolve()
    return path.name if path.is_dir() else path.stem


def given_keys(settings: Settings, name: str, frames: Sequence[str], count: int) -> list[KeyChoice]:
    """What --key_frames and --key_masks give for `count` sentences, numbered from 0. Raises InputError."""
    files = KeyFrameFiles(settings.inference.key_frames, settings.inference.key_masks)
    return [files.choice(VideoEntry(name, tuple(frames), ()), str(number)) for number in range(count)]


def segment(
    tracker: Tracker,
    video: FrameFolder,
    captions: Sequence[str],
    results: Sequence[ExpressionResults],
    given: Sequence[KeyChoice] | None = None,
) -> list[TrackRecord]:
    """The masks of some sentences, together, and what there is to say of them."""
    with (
        writing_all(results, video, tracker.settings.threshold) as writers,
        tqdm(total=len(video) * len(captions), unit="mask") as bar,
    ):
        for number, frame in tracker.track_together(video, captions, given):
            writers[number].add(frame)
            bar.update()
    records = [writer.record for writer in writers]
    for record in records:
        print(f"«{record.text}»: key frame {record.key_frame}", file=sys.stderr)
    return records


def draw(
    video: FrameFolder, records: Sequence[TrackRecord], results: Sequence[ExpressionResults], output: Path
) -> None:
    """The overlay video, and a sheet of frames spread over it; masks come back from disk, so memory stays flat."""
    tracks = Tracks.on_disk(video, records, [result.masks for result in results])
    with VideoWriter(output / "overlay.mp4", video.fps) as movie:
        for index in range(len(video)):
            movie.write(tracks.picture(index))
    write_overview(tracks, output / "overview.png")


if __name__ == "__main__":
    exit_on_input_error(main)
