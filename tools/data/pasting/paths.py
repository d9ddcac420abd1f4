"""Where a pasted object goes: drawn at random, tried on small masks, and taken where both objects show well.

The object keeps its own motion about its mean, bounded; its way is drawn relative to the host's object, so that the two
meet: across, to and fro, or beside it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from .clips import Track
from .compose import PastePath, warp

VISIBLE = 0.002  # of the picture: an object that shows less is as good as hidden
CLEARLY_VISIBLE = 0.003  # asked for in the first frame; the masks tried are coarse
SHOWN_AT_FIRST = 0.5  # of each object, at least, in the first frame
BOTH_VISIBLE = 0.75  # of the frames, wanted
BOTH_NEEDED = 0.5  # of the frames, less is refused
MEETING = 0.9  # of the clips: one object hides part of the other, if that can be had
TRIALS = 16
SHORTEST = 4  # frames

AREAS = {"pair": (0.4, 2.0), "twin": (0.6, 1.6)}  # of the host's object, log-uniform
SMALLEST = 0.005  # of the picture
LARGEST = 0.9  # of the frame's sides
MOST_ENLARGED = 2.5
OWN_MOTION = np.array([0.15, 0.05])  # of width and height: its own slow motion goes no farther, either way
LEVEL = 0.05  # of the height: deviation of its foot from the host's
INSIDE = 0.4  # of its height: its middle stays so far from the upper and the lower rim
DIRECTIONS = ("across", "to and fro", "beside")


class UnsuitableError(Exception):
    """Nothing good can be made of these two clips. The message says why."""


def draw_path(host: Track, donor: Track, kind: str, rng: np.random.Generator) -> PastePath:
    """A path through the first frames of the host, as many as it shows.

    Args:
        host: the host's object, which shows in the first frame.
        donor: the donor's.
        kind: "pair" or "twin"; a twin is of about its own size and at another moment of its way.
        rng: decides everything.

    Raises:
        UnsuitableError: the donor never shows whole, or no trial shows both in the first and half of all frames.
    """
    must_meet = rng.random() < MEETING
    best, best_rank = None, (False, False, 0.0)
    for _ in range(TRIALS):
        sources = _sources(donor.longest_whole(), len(host), kind, rng)
        path = _one_path(host, donor, sources, _scale(host, donor, sources, AREAS[kind], rng), rng)
        tried = _try(path, host, donor)
        rank = (tried.starts_well, tried.meet or not must_meet, min(tried.both_visible, BOTH_VISIBLE))
        if rank > best_rank:
            best, best_rank = path, rank
        if best_rank == (True, True, BOTH_VISIBLE):
            break
    if best is None or not best_rank[0] or best_rank[2] < BOTH_NEEDED:
        raise UnsuitableError("no way found on which both objects show from the first frame on")
    return best


def _sources(whole: range, length: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Which frames of the donor are shown: a stretch of it, or all to and fro where it is far shorter than the host."""
    if len(whole) < SHORTEST:
        raise UnsuitableError(f"the object to paste shows whole in fewer than {SHORTEST} frames on end")
    if kind == "pair" and 2 * len(whole) >= length:
        start = rng.integers(max(len(whole) - length, 0) + 1)
        return np.array(whole[start : start + length])
    turn = len(whole) - 1
    steps = np.arange(length) + rng.integers(2 * turn)
    return whole[0] + turn - np.abs(turn - steps % (2 * turn))


def _one_path(host: Track, donor: Track, sources: np.ndarray, scale: float, rng: np.random.Generator) -> PastePath:
    size = np.array(host.size[::-1])
    flip = bool(rng.random() < 0.5)
    own = _smooth(donor.boxes[sources, :2] + donor.boxes[sources, 2:] / 2) * (-scale if flip else scale, scale)
    drift = own - own.mean(axis=0)
    # All of its quick motion is kept, and of the slow as much as fits: limbs that move fit the body's motion.
    kept = np.minimum(1, OWN_MOTION * size / np.maximum(np.abs(drift).max(axis=0), 1e-6))
    goal = _goal(host, scale * donor.boxes[sources, 2:], rng)
    shifts = goal - own + kept * drift
    return PastePath(sources, shifts, scale, flip, in_front=bool(rng.random() < 0.5))


def _scale(
    host: Track, donor: Track, sources: np.ndarray, areas: tuple[float, float], rng: np.random.Generator
) -> float:
    """Pixels of the host a pixel of the donor: by area, within what the frame takes and the donor's pixels give."""
    host_area, _, _ = host.typical(range(len(host)))
    area, width, height = donor.typical(sources)
    picture = host.size[0] * host.size[1]
    ratio = np.exp(rng.uniform(*np.log(areas)))
    scale = np.sqrt(max(ratio * host_area, SMALLEST * picture) / area)
    return float(min(scale, LARGEST * host.size[1] / width, LARGEST * host.size[0] / height, MOST_ENLARGED))


def _goal(host: Track, sides: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[T, 2] where the middle of the pasted object, `sides` [T, 2] (width, height) large, is to go."""
    length = len(sides)
    boxes = _where_seen(host)[:length]
    time = np.linspace(0, 1, length)
    middle = _smooth(boxes[:, :2] + boxes[:, 2:] / 2)
    reach = (np.median(boxes[:, 2]) + np.median(sides[:, 0])) / 2
    room = np.array([middle[0, 0], host.size[1] - middle[0, 0]])
    side = 1 if rng.random() < room[1] / room.sum() else -1
    away = side * reach * _offset(str(rng.choice(DIRECTIONS)), time, rng)
    foot = _smooth(boxes[:, 1] + boxes[:, 3] - sides[:, 1] / 2)
    bend = rng.normal(0, LEVEL) * 4 * time * (1 - time)
    height = foot + host.size[0] * (rng.normal(0, LEVEL) + bend)
    inside = INSIDE * np.median(sides[:, 1])
    return np.stack([middle[:, 0] + away, height.clip(inside, host.size[0] - inside)], axis=1)


def _offset(direction: str, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How far the two are apart over `time` [T] in [0, 1]: ±1 side by side, 0 on top of each other."""
    if direction == "across":
        ends = rng.uniform(0.9, 1.3), 0.0, -rng.uniform(0.8, 2.0)
        return PchipInterpolator([0, rng.uniform(0.3, 0.7), 1], ends)(time)
    if direction == "to and fro":
        return rng.uniform(0.9, 1.3) * np.cos(2 * np.pi * rng.uniform(0.4, 1.2) * time)
    return rng.uniform(0.8, 1.1) + 0.2 * np.sin(2 * np.pi * (time + rng.random()))


def _where_seen(track: Track) -> np.ndarray:
    """[T, 4] boxes, interpolated over frames that do not show the object."""
    seen = np.flatnonzero(track.areas)
    return np.stack([np.interp(np.arange(len(track)), seen, column[seen]) for column in track.boxes.T], axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Slow motion alone: [T] or [T, 2]."""
    return gaussian_filter1d(values, max(len(values) / 8, 1), axis=0, mode="nearest")


@dataclass(frozen=True)
class _Trial:
    """What small masks say of a path."""

    starts_well: bool
    meet: bool
    both_visible: float  # share of the frames


def _try(path: PastePath, host: Track, donor: Track) -> _Trial:
    """Lay the donor's small masks over the host's."""
    shown, all_of_it, hidden = [], [], []
    for frame, source in enumerate(path.sources):
        below = host.small[frame]
        above = warp(donor.small[source].view(np.uint8), _for_small(path.matrix(frame), host, donor), below.shape) > 0
        hidden.append(np.count_nonzero(below & above))
        areas = np.array([np.count_nonzero(below), np.count_nonzero(above)])
        shown.append(areas - np.array([path.in_front, not path.in_front]) * hidden[-1])
        all_of_it.append((areas[0], donor.areas[source] * (path.scale / host.step) ** 2))
    visible = np.min(shown, axis=1) / host.small[0].size
    return _Trial(
        starts_well=bool(visible[0] >= CLEARLY_VISIBLE and (shown[0] >= SHOWN_AT_FIRST * np.array(all_of_it[0])).all()),
        meet=any(hidden),
        both_visible=float(np.mean(visible >= VISIBLE)),
    )


def _for_small(matrix: np.ndarray, host: Track, donor: Track) -> np.ndarray:
    """A map between frames → the same between their small masks."""
    small = matrix / host.step
    small[:, :2] *= donor.step
    return small
