"""Ref-YouTube-VOS: segment every expression of a split and pack the submission (spec §4).

python inference_ytvos.py --with_box_refine --binary --resume CHECKPOINT --ytvos_path DIR --output_dir DIR
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

import json
from pathlib import Path

from tqdm import tqdm

from datasets.expressions import Expression, VideoEntry
from models.tracker import Tracker
from opts import get_args_parser, parse_settings
from util.claim import claimed
from util.errors import exit_on_input_error
from util.files import atomic_write
from util.inference_run import InferenceRun, Job
from util.results import ExpressionResults, writing_all
from util.submission import write_submission


def main() -> int:
    """The whole run; 2 where an expression could not be done (the others are)."""
    settings = parse_settings(parser=get_args_parser(__doc__, training=False))
    run = InferenceRun.prepare(settings, settings.data.ytvos_path)
    with claimed(settings.run.output_dir):
        return segment_all(run)


def segment_all(run: InferenceRun) -> int:
    """Every expression that is not finished yet; where all are, key frames and zip. Returns the exit code."""
    videos = run.collection.videos
    unfinished = [Job(video, tuple(e for e in video.expressions if wanted(run, video, e))) for video in videos]
    code = run.carry_out([part for job in unfinished for part in job.parts()], segment_together)
    if code == 0:
        if run.settings.model.tracking:
            write_key_frames(run)
        print(pack(run))
    return code or 0


def results_of(run: InferenceRun, video: VideoEntry, expression: Expression) -> ExpressionResults:
    """Where an expression's results go."""
    split, place, visualize = run.results.name, Path(video.name, expression.id), run.settings.inference.visualize
    return ExpressionResults(
        text=expression.text,
        masks=run.results / place,
        record=run.results.with_name(f"{split}_scores") / video.name / f"{expression.id}.json",  # an id may hold dots
        images=run.results.with_name(f"{split}_images") / place if visualize else None,
        marks=visualize,
    )


def wanted(run: InferenceRun, video: VideoEntry, expression: Expression) -> bool:
    """Whether an expression is still to be segmented."""
    return run.settings.inference.overwrite or not results_of(run, video, expression).finished(video.frames)


def segment_together(run: InferenceRun, tracker: Tracker, job: Job, bar: tqdm) -> None:
    """The masks of a job's expressions, each expression's whole or not at all."""
    results = [results_of(run, job.video, expression) for expression in job.expressions]
    with writing_all(results, run.collection.open(job.video), run.settings.inference.threshold) as writers:
        for number, frame in run.track(tracker, job):
            writers[number].add(frame)
            bar.update()


def write_key_frames(run: InferenceRun) -> None:
    """Which frame each propagation started from, in the form that --key_frames reads."""
    chosen = {
        video.name: {
            expression.id: json.loads(results_of(run, video, expression).record.read_text())["key_frame"]
            for expression in video.expressions
        }
        for video in run.collection.videos
    }
    with atomic_write(run.results.with_name(f"{run.results.name}_key_frames.json")) as temporary:
        temporary.write_text(json.dumps(chosen, indent=1))


def pack(run: InferenceRun) -> str:
    """Writes the zip and says so."""
    expected = {v.name: {e.id: v.frames for e in v.expressions} for v in run.collection.videos}
    archive = run.results.with_name(f"{run.results.name}.zip")
    count = write_submission(archive, run.results, expected)
    return f"{archive}: {count} masks of {sum(map(len, expected.values()))} expressions"


if __name__ == "__main__":
    exit_on_input_error(main)
