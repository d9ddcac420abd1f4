"""Where each thing's parts are in the pictures, and what of each thing is seen: geometry, no colours yet.

n things, T frames, H×W pixels.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .scene import SIZES, STRIDE, Scene, Thing
from .shapes import KINDS
from .shapes.outlines import Part, Pose

SHIFT = 4  # OpenCV's polygons have this many fractional bits
TUFT = 0.07  # local units from one tuft of fur to the next
MOST_TURN = 1.3  # radians that legs and wheels turn in a frame: faster looks as if they turned backwards


@dataclass(frozen=True)
class Figure:
    """A thing in one frame: its parts in the picture's pixels, and [2, 3] from its local coordinates to them."""

    parts: list[Part]
    placed: np.ndarray


@dataclass(frozen=True)
class Facts:
    """What can be said of things and frames; sentences are judged by this alone.

    scene    [n, T, 2] centre in the scene (the camera's moves taken out), shares of width and height
    view     [n, T, 2] centre in the picture, the same units
    height   [n, T] height as a share of the picture's
    turn     [n, T] radians
    area     [n, T] seen area, a share of the picture
    whole    [n, T] the same if nothing hid it
    inside   [n, T] share of its box that is within the picture
    covered  [n, n, T] overlap of i and j where j is in front, as a share of the smaller silhouette
    labels   [T, H, W] uint8: 1 + the number of the thing that is seen
    """

    scene: np.ndarray
    view: np.ndarray
    height: np.ndarray
    turn: np.ndarray
    area: np.ndarray
    whole: np.ndarray
    inside: np.ndarray
    covered: np.ndarray
    labels: np.ndarray


def pose_figures(scene: Scene) -> list[list[Figure]]:
    """[T][n] figures."""
    placed = [_placements(scene, thing) for thing in scene.things]
    poses = [_poses(scene, thing) for thing in scene.things]
    return [
        [_figure(thing, pose[t], place[t]) for thing, pose, place in zip(scene.things, poses, placed, strict=True)]
        for t in range(scene.frames)
    ]


def observe(scene: Scene, figures: list[list[Figure]]) -> Facts:
    """Draws the silhouettes and measures them."""
    order = sorted(range(len(scene.things)), key=lambda k: scene.things[k].depth)
    nearer = np.array([[b.depth > a.depth for b in scene.things] for a in scene.things])
    tracks = [thing.track for thing in scene.things]
    frames = [_observe_frame(scene, row, order, nearer) for row in figures]
    area, whole, inside, covered = (np.stack(values, axis=-1) for values in zip(*(f[:4] for f in frames), strict=True))
    places = np.stack([np.stack([figure.placed[:, 2] for figure in row]) for row in figures], axis=1)
    return Facts(
        scene=np.stack([np.stack([track.x, track.y], axis=-1) for track in tracks]),
        view=places / scene.size[::-1],
        height=np.stack([_height(thing) for thing in scene.things]),
        turn=np.stack([track.turn for track in tracks]),
        area=area,
        whole=whole,
        inside=inside,
        covered=covered,
        labels=np.stack([frame[4] for frame in frames]),
    )


def to_fixed_point(outline: np.ndarray) -> np.ndarray:
    """An outline as OpenCV's filling functions take it, with `shift=SHIFT`."""
    return np.round(outline * 2**SHIFT).astype(np.int32)


def _height(thing: Thing) -> np.ndarray:
    return SIZES[thing.look.size] * KINDS[thing.look.kind].scale * thing.track.grow


def _way(scene: Scene, thing: Thing) -> np.ndarray:
    """[T] steps sideways in units of the thing's own height; the first is 0."""
    aspect = scene.size[1] / scene.size[0]
    return np.diff(thing.track.x, prepend=thing.track.x[0]) * aspect / _height(thing)


def _poses(scene: Scene, thing: Thing) -> list[Pose]:
    step = np.minimum(np.abs(_way(scene, thing)) * 2 * np.pi / STRIDE, MOST_TURN)
    stride, swing = np.cumsum(step), np.minimum(1, step / 0.4)
    swing[0] = swing[1]  # the first frame has no step yet
    phase = thing.seed % 7  # so that twins do not move as one
    return [Pose(stride[t], swing[t], phase + thing.rate * t, thing.build) for t in range(scene.frames)]


def _facing(thing: Thing) -> np.ndarray:
    """[T] 1 or -1: where it goes, and where it went last while it stands."""
    step = np.sign(np.round(np.diff(thing.track.x), 4))
    if not step.any():
        return np.full(len(thing.track.x), thing.facing)
    moving = np.flatnonzero(step)
    latest = np.searchsorted(moving, np.arange(len(step)), side="right") - 1
    way = step[moving[np.maximum(latest, 0)]]
    return np.append(way, way[-1])


def _placements(scene: Scene, thing: Thing) -> np.ndarray:
    """[T, 2, 3] from local coordinates to the picture."""
    height, width = scene.size
    tall, facing, turn = _height(thing) * height, _facing(thing), thing.track.turn.copy()
    if KINDS[thing.look.kind].rolls:
        turn = turn + np.cumsum(_way(scene, thing)) * 2
    c, s = tall * np.cos(turn), tall * np.sin(turn)
    local = np.stack([np.stack([c * facing, -s], -1), np.stack([s * facing, c], -1)], axis=1)
    centre = np.stack([thing.track.x * width, thing.track.y * height], axis=1)
    linear, shift = scene.camera[:, :, :2], scene.camera[:, :, 2]
    moved = (linear @ centre[..., None])[..., 0] + shift
    return np.concatenate([linear @ local, moved[..., None]], axis=2)


def _figure(thing: Thing, pose: Pose, placed: np.ndarray) -> Figure:
    parts = KINDS[thing.look.kind].draw(pose)
    if thing.look.pattern == "furry":
        parts = [replace(part, outline=_shaggy(part.outline)) if part.colour is None else part for part in parts]
    linear, shift = placed[:, :2].T, placed[:, 2]
    return Figure([replace(part, outline=part.outline @ linear + shift) for part in parts], placed)


def _shaggy(outline: np.ndarray) -> np.ndarray:
    """Tufts along the outline, about TUFT apart."""
    closed = np.vstack([outline, outline[:1]])
    gone = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.arange(2 * max(round(gone[-1] / TUFT), 3)) * gone[-1] / (2 * max(round(gone[-1] / TUFT), 3))
    dense = np.stack([np.interp(at, gone, closed[:, axis]) for axis in (0, 1)], axis=1)
    away = dense - outline.mean(axis=0)
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-6
    return dense + away * np.where(np.arange(len(dense)) % 2, 0.028, -0.012)[:, None]


def _observe_frame(scene: Scene, figures: list[Figure], order: list[int], nearer: np.ndarray) -> tuple[np.ndarray, ...]:
    """Seen area, whole area, share inside, overlaps and labels of one frame."""
    height, width = scene.size
    masks = np.zeros((len(figures), height, width), np.uint8)
    labels = np.zeros((height, width), np.uint8)
    for k in order:
        for part in figures[k].parts:
            cv2.fillPoly(masks[k], [to_fixed_point(part.outline)], 1, shift=SHIFT)
        labels[masks[k] > 0] = k + 1
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    common = flat @ flat.T
    whole = np.diag(common)
    seen = np.bincount(labels.ravel(), minlength=len(masks) + 1)[1:]
    smaller = np.maximum(np.minimum(whole[:, None], whole[None]), 1)
    inside = np.array([_share_inside(figure, height, width) for figure in figures])
    return seen / labels.size, whole / labels.size, inside, nearer * common / smaller, labels


def _share_inside(figure: Figure, height: int, width: int) -> float:
    points = np.concatenate([part.outline for part in figure.parts])
    low, high = points.min(axis=0), points.max(axis=0)
    kept = np.minimum(high, (width, height)) - np.maximum(low, 0)
    return float(np.prod(np.maximum(kept, 0)) / np.prod(high - low))
