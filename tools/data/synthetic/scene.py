"""The scene graph: things, their attributes and their tracks. Pictures and sentences both come of it."""

from dataclasses import dataclass

import numpy as np

from . import textures
from .motion import Track
from .shapes import KINDS

SIZES = {"small": 0.2, "big": 0.36}  # height of a thing, as a share of the picture's
ATTRIBUTES = ("kind", "colour", "pattern", "size")
STRIDE = 0.95  # local units a leg or wheel goes in one turn


@dataclass(frozen=True)
class Look:
    """What a thing looks like: keys of KINDS, COLOURS, PATTERNS and SIZES."""

    kind: str
    colour: str
    pattern: str
    size: str

    @property
    def unseen(self) -> bool:
        """Whether this kind never has this colour in training and validation (as in CLEVR-CoGenT)."""
        return (list(KINDS).index(self.kind) + 3 * list(textures.COLOURS).index(self.colour)) % 8 == 0


@dataclass(frozen=True)
class Thing:
    """One thing of a scene.

    depth   larger is nearer to the camera
    facing  1 right, -1 left, while it does not move sideways
    build   three numbers from -1 to 1: its own proportions
    rate    radians a frame that its idle motion goes on
    seed    of its coat
    """

    look: Look
    track: Track
    depth: float
    facing: int
    build: tuple[float, float, float]
    rate: float
    seed: int


@dataclass(frozen=True)
class Scene:
    """Things, the camera ([T, 2, 3], scene pixels → picture pixels) and the picture's height and width."""

    things: tuple[Thing, ...]
    camera: np.ndarray
    size: tuple[int, int]

    @property
    def frames(self) -> int:
        return len(self.camera)

    @property
    def looks(self) -> tuple[Look, ...]:
        return tuple(thing.look for thing in self.things)
