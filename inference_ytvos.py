"""Ref-YouTube-VOS: segment every expression of a split and pack the submission (spec §4).

python inference_ytvos.py --with_box_refine --binary --resume CHECKPOINT --ytvos_path DIR --output_dir DIR
"""

import json
from pathlib import Path

from tqdm import tqdm

from models.tracker import Tracker
from opts import parse_settings
from util.errors import exit_on_input_error
from util.files import atomic_write
from util.inference_run import InferenceRun, Job
from util.results import ExpressionResults
from util.submission import write_submission


def main() -> int:
    """The whole run; 2 where an expression could not be done (the others are)."""
    settings = parse_settings()
    run = InferenceRun.prepare(settings, settings.data.ytvos_path)
    jobs = [Job(video, (expression,)) for video in run.collection.videos for expression in video.expressions]
    if not settings.inference.overwrite:
        jobs = [job for job in jobs if not results_of(run, job).finished(job.video.frames)]
    code = run.carry_out(jobs, segment_expression)
    if code == 0:
        if settings.model.tracking:
            write_key_frames(run)
        print(pack(run))
    return code or 0


def results_of(run: InferenceRun, job: Job) -> ExpressionResults:
    """Where an expression's results go."""
    split, place = run.results.name, Path(job.video.name, job.expressions[0].id)
    return ExpressionResults(
        masks=run.results / place,
        record=run.results.with_name(f"{split}_scores") / place.with_suffix(".json"),
        images=run.results.with_name(f"{split}_images") / place if run.settings.inference.visualize else None,
    )


def segment_expression(run: InferenceRun, tracker: Tracker, job: Job, bar: tqdm) -> None:
    """One expression's masks, whole or not at all."""
    video, (expression,) = job.video, job.expressions
    frames = run.collection.open(video)
    with results_of(run, job).writing(expression.text, video.frames, run.settings.inference.threshold) as writer:
        for frame in run.track(tracker, video, expression):
            writer.add(frame, frames[frame.index] if writer.draws else None)
            bar.update()


def write_key_frames(run: InferenceRun) -> None:
    """Which frame each propagation started from, in the form that --key_frames reads."""
    chosen = {
        video.name: {
            expression.id: json.loads(results_of(run, Job(video, (expression,))).record.read_text())["key_frame"]
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
