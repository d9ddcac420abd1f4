"""Ref-DAVIS17: segment every object by each of the four annotations, and merge the objects (spec §4).

python inference_davis.py --with_box_refine --binary --resume CHECKPOINT --davis_path DIR --output_dir DIR
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

import json
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
from opts import get_args_parser, parse_settings
from util.claim import claimed
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder, atomic_write
from util.inference_run import InferenceRun, Job
from util.mask_io import read_label_map, write_label_map
from util.settings import Settings
from util.track_pictures import Tracks, write_pictures
from util.track_record import TrackRecord

ANNOTATIONS = 4  # two annotators, each by the first frame and by the full video
OBJECTS = ".objects"  # where objects wait for the others of their video
CLIP_FRAMES = 36  # of the network without tracking


def main() -> int:
    """The whole run; 2 where a video could not be done (the others are)."""
    settings = with_davis_defaults(parse_settings(parser=get_args_parser(__doc__, training=False)))
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


def place_of(job: Job) -> Path:
    """A job's folder, under that of the masks and that of the pictures."""
    return Path(f"anno_{int(job.expressions[0].id) % ANNOTATIONS}", job.video.name)


def images_of(run: InferenceRun, job: Job) -> Path:
    return run.results.with_name(f"{run.results.name}_images") / place_of(job)


def names_of(video: VideoEntry) -> list[str]:
    """What the frames' results are called."""
    return [f"{index:05d}" for index in range(len(video.frames))]


def finished(run: InferenceRun, job: Job) -> bool:
    folders = [run.results / place_of(job), *([images_of(run, job)] if run.settings.inference.visualize else [])]
    return all((folder / f"{name}.png").is_file() for folder in folders for name in names_of(job.video))


def segment_annotation(run: InferenceRun, tracker: Tracker, job: Job, bar: tqdm) -> None:
    """All objects of a video by one annotation's sentences, merged into palette PNGs."""
    unfinished = tuple(e for e in job.expressions if not kept(run, job.video, e))
    bar.update((len(job.expressions) - len(unfinished)) * len(job.video.frames))
    for part in Job(job.video, unfinished).parts():
        keep_probabilities(run, tracker, part, bar)
    parts = [volume_of(run, job.video, expression) for expression in job.expressions]
    volumes = [np.load(part, mmap_mode="r") for part in parts]
    ids = [int(e.obj_id or number) for number, e in enumerate(job.expressions, 1)]
    with atomic_folder(run.results / place_of(job)) as folder:
        for index, name in enumerate(names_of(job.video)):
            probabilities = torch.from_numpy(np.stack([volume[index] for volume in volumes]))
            labels = merge_objects(probabilities, ids, run.settings.inference.threshold)
            write_label_map(folder / f"{name}.png", labels.numpy())
        if run.settings.inference.visualize:
            draw(run, job, ids, folder)
    for part in parts:
        part.unlink()


def draw(run: InferenceRun, job: Job, ids: list[int], folder: Path) -> None:
    """Pictures of a job's merged masks, which lie in `folder`."""
    names = names_of(job.video)
    parts = [record_of(run, job.video, expression) for expression in job.expressions]
    records = [TrackRecord.from_dict(json.loads(part.read_text())) for part in parts]

    def masks(index: int) -> list[np.ndarray]:
        labels = read_label_map(folder / f"{names[index]}.png")
        return [labels == i for i in ids]

    write_pictures(Tracks(run.collection.open(job.video), names, records, masks), images_of(run, job))


def volume_of(run: InferenceRun, video: VideoEntry, expression: Expression) -> Path:
    """A file with one object's probabilities, float32 [T, H, W]; on disk, so that memory does not grow with T.

    It stays until all objects of the video are there: a restart computes none of them twice.
    """
    return run.results / OBJECTS / video.name / f"{expression.id}.npy"


def record_of(run: InferenceRun, video: VideoEntry, expression: Expression) -> Path:
    """With --visualize, what there is to draw of one object; it waits as long."""
    return volume_of(run, video, expression).with_suffix(".json")


def kept(run: InferenceRun, video: VideoEntry, expression: Expression) -> bool:
    """Whether an object need not be computed again."""
    inference = run.settings.inference
    wanted = [volume_of, *([record_of] if inference.visualize else [])]
    return not inference.overwrite and all(place(run, video, expression).is_file() for place in wanted)


def keep_probabilities(run: InferenceRun, tracker: Tracker, job: Job, bar: tqdm) -> None:
    """Write the files of a job's objects."""
    shape = (len(job.video.frames), *run.collection.open(job.video).size)
    records = [TrackRecord(e.text, {}) for e in job.expressions] if run.settings.inference.visualize else []
    names = names_of(job.video)
    with ExitStack() as stack:
        places = [stack.enter_context(atomic_write(volume_of(run, job.video, e))) for e in job.expressions]
        volumes = [np.lib.format.open_memmap(place, mode="w+", dtype=np.float32, shape=shape) for place in places]
        for place in places:
            reserve(place)
        for number, frame in run.track(tracker, job):
            volumes[number][frame.index] = frame.probability.cpu().numpy()
            if records:
                records[number].add(names[frame.index], frame)
            bar.update()
        for volume in volumes:
            volume.flush()
        for number, record in enumerate(records):
            with atomic_write(record_of(run, job.video, job.expressions[number])) as temporary:
                temporary.write_text(json.dumps(record.as_dict()))


def reserve(file: Path) -> None:
    """Take a file's room on the disk: without it, a full disk kills the process that writes to the mapped file."""
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


if __name__ == "__main__":
    exit_on_input_error(main)
