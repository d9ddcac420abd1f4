"""The kinds of things: how each is drawn, how big it is beside others, and where it belongs."""

from collections.abc import Callable
from dataclasses import dataclass

from . import animals, objects, people, vehicles
from .outlines import Part, Pose


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    draw    pose → parts from back to front
    scale   height compared with other kinds of the same size word
    home    "ground": stands on it; "air": is above it
    rooted  never leaves its place
    rolls   turns as it goes
    """

    draw: Callable[[Pose], list[Part]]
    scale: float
    home: str = "ground"
    rooted: bool = False
    rolls: bool = False


KINDS: dict[str, Kind] = {
    "ball": Kind(objects.ball, 0.9, rolls=True),
    "balloon": Kind(objects.balloon, 1.2, "air"),
    "bird": Kind(animals.bird, 0.95, "air"),
    "boat": Kind(vehicles.boat, 1.05),
    "box": Kind(objects.box, 0.9),
    "butterfly": Kind(animals.butterfly, 0.95, "air"),
    "car": Kind(vehicles.car, 0.85),
    "cat": Kind(animals.cat, 0.95),
    "cup": Kind(objects.cup, 0.9),
    "dog": Kind(animals.dog, 0.95),
    "elephant": Kind(animals.elephant, 1.05),
    "fish": Kind(animals.fish, 0.8, "air"),
    "flower": Kind(objects.flower, 1.15, rooted=True),
    "kite": Kind(objects.kite, 1.2, "air"),
    "man": Kind(people.man, 1.4),
    "plane": Kind(vehicles.plane, 0.9, "air"),
    "rabbit": Kind(animals.rabbit, 0.95),
    "robot": Kind(people.robot, 1.1),
    "rocket": Kind(vehicles.rocket, 1.25, "air"),
    "snake": Kind(animals.snake, 0.8),
    "star": Kind(objects.star, 0.95, "air"),
    "tree": Kind(objects.tree, 1.45, rooted=True),
    "truck": Kind(vehicles.truck, 0.85),
    "turtle": Kind(animals.turtle, 0.9),
    "umbrella": Kind(objects.umbrella, 1.0, "air"),
    "woman": Kind(people.woman, 1.4),
}
