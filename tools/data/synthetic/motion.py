"""Tracks: where a thing is in each frame. Each manner of moving is a small function of time.

Places are shares of the picture's width and height; T frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OUTSIDE = 0.42  # so far beyond an edge nothing is seen of even a wide thing


@dataclass(frozen=True)
class Track:
    """A thing's way in the scene, each [T].

    x, y    its centre, shares of width and height
    grow    its size, times its own
    turn    how far it is turned, radians
    """

    x: np.ndarray
    y: np.ndarray
    grow: np.ndarray
    turn: np.ndarray


@dataclass(frozen=True)
class Wish:
    """What a manner is given: where to draw from, the time, [T] from 0 to 1, and the thing's place in the picture."""

    rng: np.random.Generator
    u: np.ndarray
    home: tuple[float, float]


Moves = dict[str, np.ndarray]  # fields of a Track that are not what they are for a thing that stays


def make_track(rng: np.random.Generator, manner: str, home: tuple[float, float], frames: int) -> Track:
    """A track of the manner (a key of MANNERS) by a thing whose place in the picture is `home`."""
    u = np.linspace(0, 1, frames)
    moves = MANNERS[manner](Wish(rng, u, home))
    parts = {"x": home[0] + 0 * u, "y": home[1] + 0 * u, "grow": 1 + 0 * u, "turn": 0 * u}
    return Track(**(parts | moves))


def _ramp(u: np.ndarray, begin: float, end: float) -> np.ndarray:
    """0 until `begin`, 1 from `end` on."""
    return np.clip((u - begin) / (end - begin), 0, 1)


def _across(rng: np.random.Generator, home: float, way: int) -> tuple[float, float]:
    """Start and end of a way of 0.28 to 0.5 widths in direction `way`, inside the picture, about `home`."""
    length = rng.uniform(0.28, 0.5)
    middle = np.clip(home, 0.14 + length / 2, 0.86 - length / 2)
    return middle - way * length / 2, middle + way * length / 2


def _side(rng: np.random.Generator) -> int:
    return int(rng.choice([-1, 1]))


def _still(w: Wish) -> Moves:
    return {}


def _sideways(way: int) -> Callable[[Wish], Moves]:
    def move(w: Wish) -> Moves:
        start, end = _across(w.rng, w.home[0], way)
        return {"x": start + (end - start) * w.u}

    return move


def _upwards(way: int) -> Callable[[Wish], Moves]:
    def move(w: Wish) -> Moves:
        middle = np.clip(w.home[1], 0.4, 0.6)
        return {
            "y": middle + way * w.rng.uniform(0.24, 0.4) * (w.u - 0.5),
            "x": w.home[0] + w.rng.uniform(-0.04, 0.04) * w.u,
        }

    return move


def _stops(w: Wish) -> Moves:
    start, end = _across(w.rng, w.home[0], _side(w.rng))
    return {"x": start + (end - start) * _ramp(w.u, 0, w.rng.uniform(0.4, 0.62))}


def _starts(w: Wish) -> Moves:
    start, end = _across(w.rng, w.home[0], _side(w.rng))
    return {"x": start + (end - start) * _ramp(w.u, w.rng.uniform(0.4, 0.6), 1)}


def _turns(w: Wish) -> Moves:
    start, end = _across(w.rng, w.home[0], _side(w.rng))
    back = w.rng.uniform(0.42, 0.58)
    return {"x": start + (end - start) * (_ramp(w.u, 0, back) - w.rng.uniform(0.7, 1) * _ramp(w.u, back, 1))}


def _outwards(w: Wish, away: np.ndarray) -> Moves:
    """`away` [T]: 0 at home, 1 beyond the nearest edge."""
    edge = -OUTSIDE if w.home[0] < 0.5 else 1 + OUTSIDE
    return {"x": w.home[0] + (edge - w.home[0]) * away}


def _leaves(w: Wish) -> Moves:
    begin = w.rng.uniform(0.25, 0.4)
    return _outwards(w, _ramp(w.u, begin, begin + w.rng.uniform(0.3, 0.5)))


def _enters(w: Wish) -> Moves:
    begin = w.rng.uniform(0.0, 0.2)
    return _outwards(w, 1 - _ramp(w.u, begin, begin + w.rng.uniform(0.3, 0.45)))


def _returns(w: Wish) -> Moves:
    away = _ramp(w.u, w.rng.uniform(0.12, 0.2), 0.42)
    return _outwards(w, away - _ramp(w.u, 0.55, w.rng.uniform(0.78, 0.88)))


def _nears(w: Wish) -> Moves:
    return {"grow": w.rng.uniform(1.6, 2.0) ** (w.u - 0.4)}


def _recedes(w: Wish) -> Moves:
    return {"grow": w.rng.uniform(1.6, 2.0) ** (0.4 - w.u)}


def _spins(w: Wish) -> Moves:
    return {"turn": _side(w.rng) * w.rng.uniform(2.0, 4.0) * np.pi * w.u}


def _hops(w: Wish) -> Moves:
    arcs = np.abs(np.sin(np.pi * w.rng.choice([3, 4]) * w.u))
    return {"y": w.home[1] - w.rng.uniform(0.1, 0.15) * arcs}


MANNERS: dict[str, Callable[[Wish], Moves]] = {
    "still": _still,
    "left": _sideways(-1),
    "right": _sideways(1),
    "rises": _upwards(-1),
    "falls": _upwards(1),
    "stops": _stops,
    "starts": _starts,
    "turns": _turns,
    "leaves": _leaves,
    "enters": _enters,
    "returns": _returns,
    "nears": _nears,
    "recedes": _recedes,
    "spins": _spins,
    "hops": _hops,
}
