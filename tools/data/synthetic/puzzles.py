"""Puzzles: a few things that are alike in all but one respect, so that only that tells them apart.

A puzzle gives roles: looks, manners of moving, and places where they matter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .motion import MANNERS
from .scene import ATTRIBUTES, SIZES, Look
from .shapes import KINDS
from .textures import COLOURS, PATTERNS

VALUES: dict[str, tuple[str, ...]] = {
    "kind": tuple(KINDS),
    "colour": tuple(COLOURS),
    "pattern": PATTERNS,
    "size": tuple(SIZES),
}
MOVABLE = tuple(kind for kind in KINDS if not KINDS[kind].rooted)
FLYING = tuple(kind for kind in KINDS if KINDS[kind].home == "air")
GROUND = tuple(kind for kind in KINDS if KINDS[kind].home == "ground")
SPINNING = ("ball", "box", "butterfly", "cup", "kite", "robot", "rocket", "star", "umbrella")
# Manners that would look odd on other kinds; the rest is for all that can leave their place.
SUITED: dict[str, tuple[str, ...]] = {"still": tuple(KINDS), "spins": SPINNING, "rises": FLYING, "falls": FLYING}


@dataclass(frozen=True)
class Role:
    """A thing to be: `x`, `y` and `depth` None are drawn; `delay` (share of the video) shifts its track in time."""

    look: Look
    manner: str
    x: float | None = None
    y: float | None = None
    depth: float | None = None
    delay: float = 0.0
    pace: float = 1.0


class Casting:
    """Draws looks; those that are kept for the test split only where `unseen` allows them."""

    def __init__(self, rng: np.random.Generator, unseen: bool):
        self.rng, self.unseen = rng, unseen

    def pick(self, options: Sequence[str]) -> str:
        return options[self.rng.integers(len(options))]

    def look(self, kinds: Sequence[str] = MOVABLE, *, wanted: bool = False) -> Look:
        """Any look of one of the kinds; `wanted` asks for one of the combinations kept for the test split."""
        while True:
            values = {name: self.pick(VALUES[name]) for name in ATTRIBUTES}
            look = Look(**values | {"kind": self.pick(kinds)})
            if (look.unseen or not wanted) and (self.unseen or not look.unseen):
                return look

    def other(self, look: Look, attribute: str) -> Look:
        """The same look but for one attribute."""
        values = MOVABLE if attribute == "kind" else VALUES[attribute]
        options = [replace(look, **{attribute: v}) for v in values if v != getattr(look, attribute)]
        options = [option for option in options if self.unseen or not option.unseen]
        return options[self.rng.integers(len(options))]

    def alike(self, look: Look, count: int) -> list[Look]:
        """`count` more of the kind: twins more often than not, else others of the same kind."""
        if self.rng.random() < 0.6:
            return [look] * count
        return [self.other(look, self.pick(("colour", "pattern"))) for _ in range(count)]

    def manner(self, look: Look) -> str:
        """Any that suits the kind."""
        return self.pick([manner for manner in MANNERS if look.kind in SUITED.get(manner, MOVABLE)])

    def shuffled(self, options: Sequence[str]) -> list[str]:
        return list(self.rng.permutation(options))


def _appearance(cast: Casting, look: Look) -> list[Role]:
    """Things that differ from the first in one attribute each."""
    asked = cast.shuffled(ATTRIBUTES)[: 2 + int(cast.rng.integers(2))]
    looks = [look, *(cast.other(look, attribute) for attribute in asked)]
    return [Role(each, cast.manner(each)) for each in looks]


def _position(cast: Casting, look: Look) -> list[Role]:
    """Alike, in different places; at times they change sides."""
    look, *others = [look, *cast.alike(look, 1 + int(cast.rng.random() < 0.3))]
    if cast.rng.random() < 0.3:
        return [Role(look, "right", x=0.2), Role(others[0], "left", x=0.8)]
    xs = cast.rng.permutation((0.18, 0.82, 0.5)[: 1 + len(others)])
    manner = cast.pick(("still", "still", "hops", "spins" if look.kind in SPINNING else "hops"))
    return [
        Role(each, manner, x=x + cast.rng.uniform(-0.05, 0.05)) for each, x in zip((look, *others), xs, strict=True)
    ]


def _relation(cast: Casting, look: Look) -> list[Role]:
    return cast.pick((_beside, _above, _passing, _passing, _of_two_sizes))(cast, look)


def _beside(cast: Casting, look: Look) -> list[Role]:
    """Alike, at either side of something, or one near it and one far from it."""
    (other,), anchor = cast.alike(look, 1), cast.look(GROUND)
    manner = cast.pick(("still", "hops", "still"))
    xs = (0.28, 0.72, 0.5) if cast.rng.random() < 0.5 else (0.3, 0.85, 0.14)
    y = cast.rng.uniform(0.5, 0.7)
    return [
        Role(each, m, x=x, y=y) for each, m, x in zip((look, other, anchor), (manner, manner, "still"), xs, strict=True)
    ]


def _above(cast: Casting, look: Look) -> list[Role]:
    """One is above something (or below it), the like of it is not."""
    below = KINDS[look.kind].home == "ground"
    anchor = replace(cast.look(FLYING if below else GROUND), size="small")
    look = replace(look, size="small")
    (other,) = cast.alike(look, 1)
    x, y = cast.rng.choice([0.25, 0.75]), (0.74, 0.26)
    own, its = (y[0], y[1]) if below else (y[1], y[0])
    return [Role(look, "still", x, own), Role(other, "still", 1 - x, own), Role(anchor, "still", x, its)]


def _passing(cast: Casting, look: Look) -> list[Role]:
    """One goes behind something or before it; the like of it on the other side, or above."""
    (other,), anchor = cast.alike(look, 1), replace(cast.look(GROUND), size="big")
    ways = cast.shuffled(("left", "right"))
    nearer = cast.rng.choice([-0.4, 0.4])
    x = cast.rng.uniform(0.4, 0.6)
    return [
        Role(replace(look, size="small"), ways[0], x=x, y=0.6, depth=0.6 + nearer),
        Role(replace(other, size="small"), ways[1], x=x, y=0.2 if look.kind in FLYING else 0.62, depth=0.6 - nearer),
        Role(anchor, "still", x=x, y=0.62, depth=0.6),
    ]


def _of_two_sizes(cast: Casting, look: Look) -> list[Role]:
    other = cast.other(look, "size")
    manners = [cast.pick(("still", "left", "right", "hops")) for _ in range(2)]
    return [Role(look, manners[0]), Role(other, manners[1])]


_CONTRASTS = (
    ("left", "right"),
    ("rises", "falls"),
    ("rises", "still", "right"),
    ("falls", "still"),
    ("stops", "still", "right"),
    ("stops", "left"),
    ("starts", "still"),
    ("starts", "right", "left"),
    ("turns", "left"),
    ("turns", "right", "still"),
    ("leaves", "still"),
    ("leaves", "returns"),
    ("returns", "still", "stops"),
    ("enters", "still"),
    ("enters", "leaves"),
    ("nears", "still"),
    ("nears", "recedes"),
    ("recedes", "still"),
    ("spins", "still"),
    ("spins", "hops"),
    ("hops", "still"),
    ("still", "right", "left"),
)


def _motion(cast: Casting, look: Look) -> list[Role]:
    """Alike, moving in different ways."""
    manners = cast.shuffled(_CONTRASTS[cast.rng.integers(len(_CONTRASTS))])
    suited = set(MOVABLE).intersection(*(SUITED.get(manner, MOVABLE) for manner in manners))
    if look.kind not in suited:
        look = cast.look(sorted(suited))
    others = cast.alike(look, len(manners) - 1)
    return [Role(each, manner) for each, manner in zip((look, *others), manners, strict=True)]


def _order(cast: Casting, look: Look) -> list[Role]:
    """Three alike: in a row, one after the other, or one faster than the other."""
    looks = [look, *cast.alike(look, 2)]
    sort = cast.pick(("row", "row", "enters", "leaves", "stops", "speed"))
    if sort == "row":
        manner = cast.pick(("still", "hops", "nears"))
        return [
            Role(e, manner, x=x, y=0.62) for e, x in zip(looks, cast.rng.permutation((0.16, 0.5, 0.84)), strict=True)
        ]
    ys = (0.25, 0.5, 0.75) if look.kind in FLYING else (0.5, 0.66, 0.82)
    if sort == "speed":
        paces = cast.rng.permutation((0.62, 1.35))
        way = cast.pick(("left", "right"))
        return [Role(e, way, x=0.5, y=y, pace=p) for e, y, p in zip(looks[:2], ys[::2], paces, strict=True)]
    delays = cast.rng.permutation((-0.18, 0.03, 0.24))
    xs = cast.rng.permutation((0.25, 0.5, 0.75))
    return [Role(e, sort, x=x, y=y, delay=d) for e, x, y, d in zip(looks, xs, ys, delays, strict=True)]


PUZZLES: dict[str, Callable[[Casting, Look], list[Role]]] = {
    "appearance": _appearance,
    "position": _position,
    "relation": _relation,
    "motion": _motion,
    "order": _order,
}
