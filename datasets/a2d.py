"""A2D-Sentences (spec §5): clips of a video file around one annotated frame, for training and test."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
import h5py
import numpy as np

from util.errors import InputError
from util.mask_io import MOST_PIXELS, object_mask
from util.names import is_safe_name

from .clip_dataset import ClipDataset, Transform
from .clip_sampling import sample_clip
from .expressions import normalise_caption
from .pseudo_clip import random_affine
from .reference_frame import black_out
from .sample import RawClip
from .video_file import open_stream

GROUND_TRUTH = "a2d_sentences_test_annotations_in_coco_format.json"
# What h5py raises depends on where in a file it breaks.
BROKEN_H5 = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, OverflowError)
CACHED_VIDEOS = 4096  # more than A2D has; 2 kB each, in every worker


class A2DSentence(NamedTuple):
    """One entry of the sample list; `frame` counts from 1."""

    text: str
    video: str
    frame: int
    instance: int


class A2DDataset(ClipDataset):
    """One clip for each sentence and annotated frame.

    Training: frames drawn around the annotated one. The reference is the nearest other frame of the video in which
    the same instance is annotated (of two, the earlier), blacked out; where there is none, the frame itself, blacked
    out and then a little rotated and shifted (spec §3, ours).

    Test: the window around the annotated frame. The reference is all zeros, for ground truth may not be looked at:
    tracking there takes its references from predictions. No sample is replaced, since each one counts.
    """

    def __init__(self, root: str | Path, image_set: str, num_frames: int, transform: Transform, seed: int = 0):
        """Read the sample list of `image_set`, "train" or "test". Raises InputError where it is malformed."""
        super().__init__(transform, seed, training=image_set == "train")
        self.root = Path(root)
        self.num_frames = num_frames
        self.sentences = read_sentences(self.root / f"a2d_sentences_single_frame_{image_set}_annotations.json")

    def __len__(self) -> int:
        return len(self.sentences)

    def video_file(self, index: int) -> Path:
        """The video of sample `index`."""
        return self.root / "Release" / "clips320H" / f"{self.sentences[index].video}.mp4"

    def image_id(self, index: int) -> str:
        """The id of sample `index` in the ground truth."""
        sentence = self.sentences[index]
        return f"v_{sentence.video}_f_{sentence.frame}_i_{sentence.instance}"

    def read(self, index: int, rng: np.random.Generator) -> RawClip:
        """Read sample `index`: T' = 1. Raises InputError naming the broken file."""
        sentence, file = self.sentences[index], self.video_file(index)
        length, centre = len(index_video(file).times), sentence.frame - 1
        if centre >= length:
            raise InputError(f"{file}: {length} frames, but frame {sentence.frame} is annotated; fetch it again")
        if self.training:
            positions = sample_clip(length, centre, self.num_frames, rng)
            annotated = positions.index(centre)
        else:
            positions, annotated = evaluation_window(length, centre, self.num_frames)
        neighbour = self._neighbour(sentence, length) if self.training else None
        refers = centre if neighbour is None else neighbour
        *frames, other = read_frames(file, [*positions, refers])
        mask = self._mask(sentence, centre, other.shape[:2])
        if not self.training:
            reference = np.zeros_like(other)
        elif neighbour is None:
            reference = random_affine(black_out(other, mask), rng)
        else:
            reference = black_out(other, self._mask(sentence, neighbour, other.shape[:2]))
        return RawClip(
            frames=frames,
            reference=[reference],
            masks=mask[None],
            caption=normalise_caption(sentence.text),
            label=0,
            name=f"a2d {sentence.video}, frame {sentence.frame}, instance {sentence.instance}",
            annotated=annotated,
            image_id=self.image_id(index),
        )

    def _annotations(self, video: str) -> Path:
        return self.root / "text_annotations" / "a2d_annotation_with_instances" / video

    def _mask(self, sentence: A2DSentence, position: int, size: tuple[int, int]) -> np.ndarray:
        """The object in the frame at `position` (from 0), bool [H, W], checked to be of the video's size."""
        file = self._annotations(sentence.video) / f"{position + 1:05d}.h5"
        mask = read_mask(file, sentence.instance)
        if mask.shape != size:
            raise InputError(f"{file}: masks of {mask.shape} pixels, but the video's frames have {size}")
        return mask

    def _neighbour(self, sentence: A2DSentence, length: int) -> int | None:
        """Position (from 0) of the nearest other frame in which the instance is annotated."""
        frames = annotated_frames(self._annotations(sentence.video)).get(sentence.instance, ())
        others = [frame - 1 for frame in frames if frame != sentence.frame and frame <= length]
        return min(others, key=lambda other: abs(other - (sentence.frame - 1)), default=None)


def evaluation_window(length: int, centre: int, num_frames: int) -> tuple[list[int], int]:
    """[centre − T // 2, centre + (T + 1) // 2) of a video of `length` frames, and the place of `centre` in it.

    Always T frames: places before the first frame repeat the first, places behind the last repeat the last.
    """
    first = centre - num_frames // 2
    window = [min(max(position, 0), length - 1) for position in range(first, first + num_frames)]
    return window, num_frames // 2


def read_sentences(path: Path) -> list[A2DSentence]:
    """The sample list: [text, video, frame (from 1), instance] each. Raises InputError where it is malformed."""
    entries = read_sample_list(path)
    for number, entry in enumerate(entries):
        if not _is_sentence(entry):
            raise InputError(f"{path}: sample {number} must be [text, video, frame, instance], it is {entry!r}")
    return [A2DSentence(*entry) for entry in entries]


def read_sample_list(path: Path) -> list:
    """The entries of a JSON file that is one list, unchecked. Raises InputError where it is not that, or empty."""
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the data set's folder") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); download it again") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: must be a list of samples; download it again")
    return entries


def _is_sentence(entry: object) -> bool:
    if not isinstance(entry, list) or [type(part) for part in entry] != [str, str, int, int]:
        return False
    text, video, frame, _ = entry
    return bool(text.strip()) and is_safe_name(video) and frame >= 1


def read_mask(path: Path, instance: int) -> np.ndarray:
    """The mask of `instance` in one annotated frame, bool [H, W]. Raises InputError naming the file."""
    with _annotation(path) as (instances, masks):
        if instance not in instances:
            raise InputError(f"{path}: no instance {instance} in it, only {instances}; download it again")
        if masks.ndim == 3 and len(masks) == len(instances):
            mask = masks[instances.index(instance)]
        elif masks.ndim == 2 and len(instances) == 1:  # a single instance has no axis of its own
            mask = masks[()]
        else:
            raise InputError(f"{path}: {len(instances)} instances, but masks {masks.shape}; download it again")
        return np.ascontiguousarray(object_mask(mask).T)  # they are stored transposed, [W, H]


@lru_cache(maxsize=CACHED_VIDEOS)
def annotated_frames(folder: Path) -> dict[int, tuple[int, ...]]:
    """Instance → the frames (from 1, ascending) of a video's annotations that hold it. Raises InputError."""
    frames: dict[int, tuple[int, ...]] = {}
    for file in sorted(file for file in folder.glob("*.h5") if file.stem.isdecimal()):
        with _annotation(file) as (instances, _):
            for instance in dict.fromkeys(instances):
                frames[instance] = (*frames.get(instance, ()), int(file.stem))
    return frames


@contextmanager
def _annotation(path: Path) -> Iterator[tuple[list[int], h5py.Dataset]]:
    """An annotation file's instance ids and masks; what is wrong with it becomes an InputError."""
    try:
        with h5py.File(path, "r") as file:
            instances, masks = (array_in(file, name) for name in ("instance", "reMask"))
            yield [int(instance) for instance in np.ravel(instances[()])], masks
    except BROKEN_H5 as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise InputError(f"{path}: not an annotation that can be read ({reason}); download it again") from error


def array_in(file: h5py.File, name: str) -> h5py.Dataset:
    """An array of numbers that lies in this very file. Raises ValueError: HDF5 can lead into others, at any size."""
    array = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual or array.dtype.kind not in "buif":
        raise ValueError(f"no numbers {name} in the file itself")
    if max(array.size or 0, math.prod(array.chunks or ())) > MOST_PIXELS:
        raise ValueError(f"{name} of {array.shape}, at most {MOST_PIXELS} values are read")
    return array


@dataclass(frozen=True)
class VideoIndex:
    """Where the frames of a video file are, in its own units of time.

    times     [n] int64, when each frame is shown, ascending
    keys      [k] int64, when each key frame is shown, ascending
    key_seeks [k] int64, where to seek for it: when it is decoded
    """

    times: np.ndarray
    keys: np.ndarray
    key_seeks: np.ndarray


@lru_cache(maxsize=CACHED_VIDEOS)
def index_video(path: Path) -> VideoIndex:
    """Read the positions of all frames without decoding any. Raises InputError where the file is damaged."""
    with _video(path) as stream:
        packets = [(p.pts, p.dts, p.is_keyframe, p.is_discard) for p in stream.container.demux(stream) if p.size]
        promised = stream.frames
    shown = sorted(packet[:3] for packet in packets if packet[0] is not None and not packet[3])
    keys = np.array([(pts, pts if dts is None else dts) for pts, dts, key in shown if key], np.int64)
    if len(packets) < promised or not len(keys):
        raise InputError(f"{path}: cut off after {len(packets)} of {promised} frames; fetch it again")
    return VideoIndex(np.array([packet[0] for packet in shown], np.int64), keys[:, 0].copy(), keys[:, 1].copy())


def read_frames(path: Path, positions: Sequence[int]) -> list[np.ndarray]:
    """Decode the frames at `positions` (from 0, in any order, repeats allowed), RGB uint8 [H, W, 3] each.

    Only what lies between the last key frame before a wanted frame and that frame is decoded.

    Raises:
        InputError: the video is missing or damaged.
        IndexError: it has no such frame.
    """
    index = index_video(path)
    wanted = [int(index.times[position]) for position in positions]
    images: dict[int, np.ndarray] = {}
    with _video(path) as stream:
        reached = None
        for time in sorted(set(wanted)):
            key = max(int(np.searchsorted(index.keys, time, side="right")) - 1, 0)
            if reached is None or reached < index.keys[key]:  # else going on is the shorter way
                stream.container.seek(int(index.key_seeks[key]), stream=stream)
                frames = stream.container.decode(stream)  # until the next jump: it may hold frames not yet handed out
            frame = next((f for f in frames if f.pts is not None and f.pts >= time), None)
            if frame is None or frame.pts != time:
                number = np.searchsorted(index.times, time) + 1
                raise InputError(f"{path}: frame {number} cannot be decoded; fetch it again")
            reached, images[time] = time, frame.to_ndarray(format="rgb24")
    if len({image.shape for image in images.values()}) > 1:
        raise InputError(f"{path}: its frames are of several sizes; fetch it again")
    return [images[time] for time in wanted]


@contextmanager
def _video(path: Path) -> Iterator[av.VideoStream]:
    """The open video's first stream of pictures; what is wrong with the file becomes an InputError."""
    try:
        with open_stream(path) as stream:
            stream.codec_context.thread_count = 1  # the loader's processes keep the cores busy
            yield stream
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check --a2d_path") from error
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video that can be read ({error.strerror}); fetch it again") from error
