"""Check of one video kept as a folder of JPEG frames and a folder of mask PNGs (Ref-YouTube-VOS, Ref-DAVIS17)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.data.doctor.findings import Kind
from tools.data.doctor.visit import Found, files_in, image_size, size_text
from util.errors import InputError
from util.mask_io import read_label_map

VOID = 255  # DAVIS' mark for pixels that belong to nothing

AGAIN = "unpack the data set again: files get lost when a download or an unpacking is cut off"
NO_VIDEO = Kind("listed video has no folder of frames", AGAIN)
NO_FRAME = Kind("listed frame is not there", AGAIN)
EMPTY_FILE = Kind("file is empty", AGAIN)
NO_MASK = Kind("frame has no mask", AGAIN)
BROKEN = Kind("image cannot be decoded", AGAIN)
FRAME_SIZE = Kind("frame is of another size than the video's first", "get that video's frames again, all of one source")
MASK_SIZE = Kind("mask is of another size than its frame", "get frames and masks from the same release of the data set")
UNKNOWN_OBJECT = Kind("object id in a mask that meta.json does not list", "get masks and meta.json of the same release")
UNDESCRIBED = Kind("object id in a mask that nobody described", "", wrong=False)
NEVER_SEEN = Kind("object of meta.json that no mask of its video shows", "get masks and meta.json of the same release")
NOT_SEEN = Kind(
    "object is not in a mask where meta.json says so", "nothing: such a frame is one without the object", wrong=False
)
UNLISTED = Kind("frame on disk that no list names", "nothing: it is not read", wrong=False)
MASK_ALONE = Kind("mask without a frame", "nothing: it is not read", wrong=False)


@dataclass(frozen=True)
class VideoFiles:
    """A video to check.

    images, masks  its folders
    frames         names that must be there
    masks_needed   whether each frame must have a mask; a mask that is there is checked anyway
    objects        object id → frames that show it, as meta.json says; None: not known
    all_described  whether an id that is not in `objects` is wrong
    """

    images: Path
    masks: Path
    frames: tuple[str, ...]
    masks_needed: bool = True
    objects: Mapping[int, frozenset[str]] | None = None
    all_described: bool = True


def examine_names(video: VideoFiles) -> Found:
    """What the folders' listings tell."""
    frames = files_in(video.images, ".jpg")
    if frames is None:
        yield NO_VIDEO, f"{video.images}"
        return
    yield from _examine_listing(video.images, ".jpg", frames, video.frames, NO_FRAME)
    for name in sorted(frames.keys() - video.frames):
        yield UNLISTED, f"{video.images / name}.jpg"
    masks = files_in(video.masks, ".png") or {}
    if video.masks_needed:
        yield from _examine_listing(video.masks, ".png", masks, video.frames, NO_MASK)
    for name in sorted(masks.keys() - frames.keys()):
        yield MASK_ALONE, f"{video.masks / name}.png"


def examine_content(video: VideoFiles, deep: bool) -> Found:
    """What the files hold: all of them decoded if `deep`, else the first frame's header and the first mask."""
    first_size, seen = None, set()
    # Files that are missing or empty are examine_names' to report.
    frames, masks = _not_empty(video.images, ".jpg"), _not_empty(video.masks, ".png")
    listed = [name for name in video.frames if name in frames]
    for name in listed if deep else listed[:1]:
        file = video.images / f"{name}.jpg"
        try:
            size = image_size(file, deep)
            if first_size not in (None, size):
                yield FRAME_SIZE, f"{file}: {size_text(size)}, the first has {size_text(first_size)}"
            first_size = first_size or size
            if name in masks:
                seen |= yield from _examine_mask(video, name, size)
        except InputError as error:
            yield BROKEN, str(error)
    if deep and masks:
        for key in sorted((video.objects or {}).keys() - seen):
            yield NEVER_SEEN, f"{video.masks}: object {key}"


def _not_empty(folder: Path, suffix: str) -> set[str]:
    """Names without suffix."""
    return {name for name, size in (files_in(folder, suffix) or {}).items() if size}


def _examine_listing(folder: Path, suffix: str, there: Mapping[str, int], wanted: Iterable[str], absent: Kind) -> Found:
    for name in wanted:
        if not there.get(name):
            yield (EMPTY_FILE if name in there else absent), f"{folder / name}{suffix}"


def _examine_mask(video: VideoFiles, name: str, size: tuple[int, int]) -> Found:
    """Check size and object ids of a frame's mask; returns the ids."""
    file = video.masks / f"{name}.png"
    labels = read_label_map(file)
    mask_size = (labels.shape[1], labels.shape[0])
    if mask_size != size:
        yield MASK_SIZE, f"{file}: {size_text(mask_size)}, the frame has {size_text(size)}"
    ids = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0, VOID}
    if video.objects is None:
        return ids
    for unknown in sorted(ids - video.objects.keys()):
        yield (UNKNOWN_OBJECT if video.all_described else UNDESCRIBED), f"{file}: object {unknown}"
    for key, frames in video.objects.items():
        if name in frames and key not in ids:
            yield NOT_SEEN, f"{file}: object {key}"
    return ids
