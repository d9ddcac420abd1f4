"""A2D-Sentences: videos as mp4, masks as one h5 a frame, sample lists and the test ground truth as JSON (spec §5)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import numpy as np

from datasets.a2d import BROKEN_H5, GROUND_TRUTH, array_in
from datasets.video_file import open_stream
from tools.data.doctor.findings import Kind, Report
from tools.data.doctor.frames import EMPTY_FILE
from tools.data.doctor.samples import check_ground_truth, read_samples
from tools.data.doctor.visit import Found, Visit, examine_each, files_in, size_text
from util.errors import InputError
from util.names import is_safe_name

SPLITS = ("train", "test")
VIDEOS = Path("Release", "clips320H")
MASKS = Path("text_annotations", "a2d_annotation_with_instances")

GET_VIDEOS = f"download A2D (web.eecs.umich.edu/~jjcorso/r/a2d) and unpack it, so that {VIDEOS.as_posix()}/ holds mp4s"
GET_MASKS = (
    "download a2d_annotation_with_instances (kgavrilyuk.github.io/publication/actor_action) and unpack it in "
    f"{MASKS.parent.as_posix()}/"
)
NOTHING = Kind(
    "no part of A2D-Sentences is here",
    "--path is the folder that holds Release/, text_annotations/ and the a2d_sentences_*.json lists",
)
NO_VIDEO = Kind("video is not there", GET_VIDEOS)
NO_MASKS = Kind("annotated frame's h5 is not there", GET_MASKS)
BAD_VIDEO = Kind("video cannot be decoded", GET_VIDEOS)
SHORT_VIDEO = Kind("video has fewer frames than its samples name", GET_VIDEOS)
BAD_H5 = Kind("h5 cannot be read", GET_MASKS)
NO_KEY = Kind("h5 lacks what is read from it", GET_MASKS)
BAD_SHAPE = Kind("masks in an h5 are not [n, W, H] of the video's size", GET_MASKS)
NO_INSTANCE = Kind("h5 does not hold the instance that a sample names", "get sample lists and h5s of the same release")

Instances = Mapping[int, set[int]]  # frame (1-based) -> instance ids that samples name


@dataclass(frozen=True)
class Sample:
    """A row of a sample list."""

    video: str
    frame: int
    instance: int


def check(visit: Visit, report: Report) -> None:
    """Check A2D-Sentences under `visit.root`."""
    splits = visit.choose_splits(report, SPLITS, lambda split: _list_file(visit.root, split).exists())
    if not splits:
        report.add(NOTHING, visit.root)
    wanted: defaultdict[str, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for split in splits:
        samples = read_samples(report, _list_file(visit.root, split), _parse)
        if samples is None:
            continue
        for sample in samples:
            wanted[sample.video][sample.frame].add(sample.instance)
        frames = {(sample.video, sample.frame) for sample in samples}
        videos = {sample.video for sample in samples}
        report.fact(f"{split}: {len(samples)} samples in {len(frames)} frames of {len(videos)} videos")
        if split == "test":
            images = [(f"v_{sample.video}_f_{sample.frame}_i_{sample.instance}",) for sample in samples]
            check_ground_truth(report, visit.root / GROUND_TRUTH, images)
    if wanted:
        _check_files(visit, report, wanted)


def _list_file(root: Path, split: str) -> Path:
    return root / f"a2d_sentences_single_frame_{split}_annotations.json"


def _parse(row: object) -> Sample | None:
    """[sentence, video, frame from 1 on, instance]."""
    shape = isinstance(row, list) and [type(value) for value in row] == [str, str, int, int]
    good = shape and row[0].strip() and is_safe_name(row[1]) and row[2] >= 1 and row[3] >= 0
    return Sample(*row[1:]) if good else None


def _check_files(visit: Visit, report: Report, wanted: Mapping[str, Instances]) -> None:
    """Videos and masks; a folder that is missing as a whole is one line."""
    videos = files_in(visit.root / VIDEOS, ".mp4")
    masks_there = (visit.root / MASKS).is_dir()
    if videos is None:
        report.add(NO_VIDEO, f"{VIDEOS.as_posix()}/ itself is not there", len(wanted))
    if not masks_there:
        report.add(NO_MASKS, f"{MASKS.as_posix()}/ itself is not there", sum(map(len, wanted.values())))
    sampled = visit.sampled(wanted)

    def examine(name: str) -> Found:
        size = None
        if videos is not None:
            file = visit.root / VIDEOS / f"{name}.mp4"
            if not videos.get(name):
                yield (EMPTY_FILE if name in videos else NO_VIDEO), f"{file}"
            elif name in sampled:
                size = yield from _examine_video(file, max(wanted[name]), visit.deep)
        if masks_there:
            yield from _examine_masks(visit.root / MASKS / name, wanted[name], size, name in sampled, visit.deep)

    examine_each(report, sorted(wanted), examine, "videos")


def _examine_video(file: Path, last_frame: int, deep: bool) -> Found:
    """Check that a video opens and reaches `last_frame`; returns its (width, height), None where it does not open."""
    try:
        with open_stream(file) as stream:
            # Slices, because threads across frames swallow the error of a damaged last packet.
            stream.thread_type = "SLICE"
            packets = stream.container.demux(stream)
            frames = sum(1 for packet in packets for _ in packet.decode()) if deep else stream.frames
            size = (stream.width, stream.height)
    except (av.FFmpegError, OSError, InputError) as error:
        yield BAD_VIDEO, f"{file}: {error}"
        return None
    # Some containers do not say how many frames they hold.
    if (deep or frames) and frames < last_frame:
        yield SHORT_VIDEO, f"{file}: {frames} frames, samples name frame {last_frame}"
    return size


def _examine_masks(
    folder: Path, wanted: Instances, size: tuple[int, int] | None, look_inside: bool, deep: bool
) -> Found:
    there = files_in(folder, ".h5") or {}
    for number, frame in enumerate(sorted(wanted)):
        name = f"{frame:05d}"
        file = folder / f"{name}.h5"
        if not there.get(name):
            yield (EMPTY_FILE if name in there else NO_MASKS), f"{file}"
        elif deep or (look_inside and number == 0):
            try:
                yield from _examine_h5(file, wanted[frame], size, deep)
            except BROKEN_H5 as error:
                yield BAD_H5, f"{file}: {error}"


def _examine_h5(file: Path, instances: set[int], size: tuple[int, int] | None, deep: bool) -> Found:
    """`instance` holds ids; `reMask` is [n, W, H], or [W, H] where there is one instance: transposed."""
    with h5py.File(file) as content:
        missing = {"instance", "reMask"} - content.keys()
        if missing:
            yield NO_KEY, f"{file}: no {' and no '.join(sorted(missing))}"
            return
        numbers, masks = (array_in(content, name) for name in ("instance", "reMask"))
        ids, shape = np.ravel(numbers[()]).tolist(), masks.shape
        if deep:
            masks[()]  # reading proves that no block of it is damaged
    if len(shape) not in (2, 3) or (size is not None and shape[-2:] != size):
        video = f", the video is {size_text(size)}" if size else ""
        yield BAD_SHAPE, f"{file}: reMask {list(shape)}{video}"
        return
    held = ids[: shape[0]] if len(shape) == 3 else ids[:1]
    for instance in sorted(instances.difference(held)):
        yield NO_INSTANCE, f"{file}: instance {instance}, it holds {held}"
