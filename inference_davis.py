"""Ref-DAVIS17: segment every object by each of the four annotations, and merge the objects (spec §4).

python inference_davis.py --with_box_refine --binary --resume CHECKPOINT --davis_path DIR --output_dir DIR
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

import os
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datasets.expressions import Expression, VideoEntry
from models.postprocessors import merge_objects
from models.tracker import Tracker
from opts import parse_settings
from util.claim import claimed
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder, atomic_write
from util.inference_run import InferenceRun, Job
from util.mask_io import write_label_map
from util.settings import Settings

ANNOTATIONS = 4  # two annotators, each by the first frame and by the full video
OBJECTS = ".objects"  # where objects wait for the others of their video
CLIP_FRAMES = 36  # of the network without tracking


def main() -> int:
    """The whole run; 2 where a video could not be done (the others are)."""
    settings = with_davis_defaults(parse_settings())
    run = InferenceRun.prepare(settings, settings.data.davis_path)
    with claimed(settings.run.output_dir):
        return segment_all(run)


def segment_all(run: InferenceRun) -> int:
    """Every annotation of a video that is not finished yet. Returns the exit code."""
    jobs = [job for video in run.collection.videos for job in annotation_jobs(video)]
    if not run.settings.inference.overwrite:
        jobs = [job for job in jobs if not finished(run, job)]
    code = run.carry_out(jobs, segment_annotation)
    if code == 0:
        shutil.rmtree(run.results / OBJECTS, ignore_errors=True)
        print(f"{run.results}: {len(run.collection.videos)} videos × {ANNOTATIONS} annotations")
    return code or 0


def with_davis_defaults(settings: Settings) -> Settings:
    """Without tracking, clips of 36 frames unless said otherwise."""
    length = CLIP_FRAMES if settings.inference.clip_frames is None else settings.inference.clip_frames
    return replace(settings, inference=replace(settings.inference, clip_frames=length))


def annotation_jobs(video: VideoEntry) -> list[Job]:
    """Expression 4·object + annotation: one job an annotation, with one expression an object."""
    by_id = {expression.id: expression for expression in video.expressions}
    by_number = [by_id.get(str(number)) for number in range(len(by_id))]
    if len(by_number) % ANNOTATIONS or None in by_number:
        raise InputError(
            f"video {video.name!r}: expressions must be numbered 4·object + annotation from 0; "
            "make the folder with tools/data/convert_davis_to_ytvos.py"
        )
    return [
        Job(video, tuple(by_number[annotation::ANNOTATIONS]), indivisible=True) for annotation in range(ANNOTATIONS)
    ]


def folder_of(run: InferenceRun, job: Job) -> Path:
    return run.results / f"anno_{int(job.expressions[0].id) % ANNOTATIONS}" / job.video.name


def finished(run: InferenceRun, job: Job) -> bool:
    return all((folder_of(run, job) / f"{i:05d}.png").is_file() for i in range(len(job.video.frames)))


def segment_annotation(run: InferenceRun, tracker: Tracker, job: Job, bar: tqdm) -> None:
    """All objects of a video by one annotation's sentences, merged into palette PNGs."""
    unfinished = tuple(e for e in job.expressions if not kept(run, job.video, e))
    bar.update((len(job.expressions) - len(unfinished)) * len(job.video.frames))
    for part in Job(job.video, unfinished).parts():
        keep_probabilities(run, tracker, part, bar)
    parts = [volume_of(run, job.video, expression) for expression in job.expressions]
    volumes = [np.load(part, mmap_mode="r") for part in parts]
    ids = [int(e.obj_id or number) for number, e in enumerate(job.expressions, 1)]
    with atomic_folder(folder_of(run, job)) as folder:
        for index in range(len(job.video.frames)):
            probabilities = torch.from_numpy(np.stack([volume[index] for volume in volumes]))
            labels = merge_objects(probabilities, ids, run.settings.inference.threshold)
            write_label_map(folder / f"{index:05d}.png", labels.numpy())
    for part in parts:
        part.unlink()


def volume_of(run: InferenceRun, video: VideoEntry, expression: Expression) -> Path:
    """A file with one object's probabilities, float32 [T, H, W]; on disk, so that memory does not grow with T.

    It stays until all objects of the video are there: a restart computes none of them twice.
    """
    return run.results / OBJECTS / video.name / f"{expression.id}.npy"


def kept(run: InferenceRun, video: VideoEntry, expression: Expression) -> bool:
    """Whether an object need not be computed again."""
    return volume_of(run, video, expression).is_file() and not run.settings.inference.overwrite


def keep_probabilities(run: InferenceRun, tracker: Tracker, job: Job, bar: tqdm) -> None:
    """Write the files of a job's objects."""
    shape = (len(job.video.frames), *run.collection.open(job.video).size)
    with ExitStack() as stack:
        places = [stack.enter_context(atomic_write(volume_of(run, job.video, e))) for e in job.expressions]
        volumes = [np.lib.format.open_memmap(place, mode="w+", dtype=np.float32, shape=shape) for place in places]
        for place in places:
            reserve(place)
        for number, frame in run.track(tracker, job):
            volumes[number][frame.index] = frame.probability.cpu().numpy()
            bar.update()
        for volume in volumes:
            volume.flush()


def reserve(file: Path) -> None:
    """Take a file's room on the disk: without it, a full disk kills the process that writes to the mapped file."""
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


if __name__ == "__main__":
    exit_on_input_error(main)
