"""How far two folders of results agree, frame by frame; and each with the truth, where it is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from davis2017.metrics import region_similarity
from tools.scoring.ytvos_truth import Truth
from util.errors import InputError
from util.files import first_few
from util.mask_io import read_label_map

WHITE = 255  # the object in a binary mask, where palettes begin with 1


@dataclass(frozen=True)
class Target:
    """Where the truth of a track is: a folder of label maps, and the object's id in them."""

    folder: Path
    object_id: int

    def mask(self, frame: str) -> np.ndarray | None:
        """bool [H, W]; None where the frame is not annotated. Raises InputError where it cannot be read."""
        path = self.folder / f"{frame}.png"
        return read_label_map(path) == self.object_id if path.is_file() else None


@dataclass(frozen=True)
class Pair:
    """A track that both folders have: `name` is its folder in either, such as `video/0` or `anno_0/video`."""

    name: str
    video: str
    frames: tuple[str, ...]
    target: Target | None = None


@dataclass(frozen=True)
class Agreement:
    """A pair's figures.

    iou    float [T], of the two results
    truth  float [2, T], each one's J; NaN in frames without truth
    """

    pair: Pair
    iou: np.ndarray
    truth: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.iou.mean())

    @property
    def scores(self) -> tuple[float, float] | None:
        """Mean J of either; None where there is no truth."""
        return None if np.isnan(self.truth).all() else tuple(np.nanmean(self.truth, axis=1).tolist())

    def shown(self, count: int) -> list[int]:
        """`count` frames from the least agreement to the most, in time."""
        order = np.argsort(self.iou, kind="stable")
        places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
        return sorted(order[places].tolist())


def find_pairs(results: tuple[Path, Path], frames: Path, truth: Truth | None = None) -> tuple[list[Pair], list[str]]:
    """The tracks of both folders, and the names of those that only one of them has.

    Raises:
        InputError: they share none, a track's frames differ, or no folder of `frames` belongs to it.
    """
    one, other = map(tracks_of, results)
    lonely = sorted(one.keys() ^ other.keys())
    names = sorted(one.keys() & other.keys())
    if not names:
        raise InputError(
            f"{results[0]} and {results[1]}: no track in both ({first_few(lonely, 3) or 'no PNG in them'}); "
            "give two folders that hold <video>/<expression>/<frame>.png"
        )
    for name in names:
        unequal = sorted(set(one[name]) ^ set(other[name]))
        if unequal:
            raise InputError(f"{name}: {first_few(unequal, 3)} in one of {results[0]} and {results[1]} only")
    targets = targets_of(truth) if truth else {}
    return [Pair(name, video_of(name, frames), one[name], targets.get(name)) for name in names], lonely


def tracks_of(root: Path) -> dict[str, tuple[str, ...]]:
    """Folder of PNGs, relative to `root` → names of its frames; hidden folders hold what is not finished."""
    tracks: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.png")):
        place = path.relative_to(root)
        if not any(part.startswith(".") for part in place.parts):
            tracks.setdefault(place.parent.as_posix(), []).append(path.stem)
    return {name: tuple(frames) for name, frames in tracks.items()}


def video_of(track: str, frames: Path) -> str:
    """The part of a track's name that names a folder of frames. Raises InputError where none does."""
    for part in reversed(Path(track).parts):
        if (frames / part).is_dir():
            return part
    raise InputError(f"{frames}: no folder of frames for {track}; --frames is the data set's JPEGImages")


def targets_of(truth: Truth) -> Mapping[str, Target]:
    """Track → where its truth is."""
    return {
        f"{job.name}/{key}": Target(job.annotations, object_id)
        for job in truth.jobs
        for key, object_id in job.targets.items()
    }


def agreement(results: tuple[Path, Path], pair: Pair) -> Agreement:
    """Compare a track frame by frame. Raises InputError where a file is broken or sizes differ."""
    iou, truth = np.empty(len(pair.frames)), np.full((2, len(pair.frames)), np.nan)
    for index, frame in enumerate(pair.frames):
        one, other = (read_labels(root, pair, frame) for root in results)
        true = pair.target.mask(frame) if pair.target else None
        for mask in [other] + [true] * (true is not None):
            if mask.shape != one.shape:
                sizes = f"{one.shape[::-1]} and {mask.shape[::-1]} pixels"
                raise InputError(f"{pair.name}/{frame}.png: masks of {sizes}; compare results of the same frames")
        iou[index] = label_iou(one, other)
        if true is not None:
            truth[:, index] = [region_similarity(labels > 0, true) for labels in (one, other)]
    return Agreement(pair, iou, truth)


def read_labels(root: Path, pair: Pair, frame: str) -> np.ndarray:
    """Object ids, uint8 [H, W]; a binary mask's object is 1. Raises InputError where it cannot be read."""
    labels = read_label_map(root / pair.name / f"{frame}.png")
    labels[labels == WHITE] = 1
    return labels


def label_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Mean IoU over the objects of either; 1 where there is none."""
    ids = np.union1d(one, other)
    ious = [region_similarity(one == i, other == i) for i in ids[ids > 0]]
    return float(np.mean(ious)) if ious else 1.0
