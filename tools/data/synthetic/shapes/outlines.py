"""What a drawn thing is made of: poses, parts, and the outlines that the kinds share.

Local coordinates: x forward (things face right), y down, about one unit high, feet at y = 0.5. Outlines are [n, 2].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]

DARK: Colour = (34, 31, 33)
WHITE: Colour = (238, 238, 232)
GLASS: Colour = (150, 190, 214)
STEEL: Colour = (132, 136, 142)
WOOD: Colour = (116, 80, 50)
SKINS: tuple[Colour, ...] = ((244, 208, 180), (224, 172, 136), (172, 116, 80), (110, 72, 52))
HAIRS: tuple[Colour, ...] = ((40, 30, 26), (96, 60, 34), (196, 154, 88))


@dataclass(frozen=True)
class Pose:
    """How a thing stands at one moment.

    stride  phase of legs and wheels, in radians: grows with the way gone
    swing   how far legs swing: 0 (standing) to 1
    sway    phase of what moves on the spot (tails, wings, leaves), in radians: grows with time
    build   proportions of this one thing, three numbers from -1 to 1
    """

    stride: float
    swing: float
    sway: float
    build: tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """A filled outline. `colour` None is the thing's own coat, made darker by `tint` (1: as it is)."""

    outline: np.ndarray
    colour: Colour | None = None
    tint: float = 1.0


def polygon(*points: Point) -> np.ndarray:
    """Straight from corner to corner."""
    return np.array(points, dtype=np.float32)


def ellipse(centre: Point, rx: float, ry: float, turn: float = 0.0, corners: int = 20) -> np.ndarray:
    """Half axes `rx`, `ry`, turned by `turn` radians."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points = np.stack([rx * np.cos(angles), ry * np.sin(angles)], axis=1)
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([[c, s], [-s, c]]) + centre


def rounded(*points: Point, between: int = 4) -> np.ndarray:
    """A closed Catmull-Rom curve through the points, `between` corners from one to the next."""
    p1 = np.array(points, dtype=np.float32)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    u = np.linspace(0, 1, between, endpoint=False)[:, None, None]
    curve = p1 + 0.5 * u * (p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0)))
    return curve.transpose(1, 0, 2).reshape(-1, 2)


def ribbon(points: Sequence[Point] | np.ndarray, widths: Sequence[float] | float) -> np.ndarray:
    """A band along the open line through `points`, as wide as `widths` says at each."""
    line = np.asarray(points, dtype=np.float32)
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    half = np.broadcast_to(np.asarray(widths, dtype=np.float32), len(line))[:, None] / 2
    aside = half * along[:, ::-1] * (-1, 1)
    return np.concatenate([line + aside, (line - aside)[::-1]])


def leg(hip: Point, foot_y: float, width: float, step: float) -> np.ndarray:
    """A leg with a knee; `step` from -1 (back) to 1 (front) is where its foot is, lifted when in front."""
    length = foot_y - hip[1]
    foot = (hip[0] + 0.38 * length * step, foot_y - 0.12 * length * max(step, 0.0))
    knee = (hip[0] + 0.24 * length * step + 0.06 * length, (hip[1] + foot[1]) / 2)
    return ribbon((hip, knee, foot, (foot[0] + 0.6 * width, foot[1])), (1.3 * width, width, 0.85 * width, 0.6 * width))


def four_legs(pose: Pose, hips: tuple[float, float], top: float, width: float) -> tuple[list[Part], list[Part]]:
    """Legs of an animal with hips at two places: those of the far side, and those of the near side."""
    steps = [pose.swing * np.sin(pose.stride + phase) for phase in (0.0, 2.2, np.pi, 5.3)]
    outlines = [leg((hips[k % 2], top), 0.5, width, steps[k]) for k in range(4)]
    return [Part(o, tint=0.62) for o in outlines[:2]], [Part(o, tint=0.9) for o in outlines[2:]]


def eye(centre: Point, radius: float) -> list[Part]:
    """White with a pupil that looks ahead."""
    pupil = (centre[0] + 0.3 * radius, centre[1])
    return [
        Part(ellipse(centre, radius, radius, corners=10), WHITE),
        Part(ellipse(pupil, 0.6 * radius, 0.6 * radius, corners=8), DARK),
    ]


def wheel(centre: Point, radius: float, turn: float) -> list[Part]:
    """A tyre with a hub; the spokes show how it turns."""
    x, y = centre
    c, s = 0.75 * radius * np.cos(turn), 0.75 * radius * np.sin(turn)
    spokes = [ribbon(((x - a, y - b), (x + a, y + b)), 0.3 * radius) for a, b in ((c, s), (-s, c))]
    return [Part(ellipse(centre, radius, radius), DARK), *(Part(spoke, STEEL) for spoke in spokes)]
