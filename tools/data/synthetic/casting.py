"""Scenes: puzzles are drawn until a picture is full, and every role gets its place, track and proportions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .camera import draw_camera
from .motion import Track, make_track
from .puzzles import PUZZLES, Casting, Role
from .scene import SIZES, Scene, Thing
from .shapes import KINDS

Place = tuple[float, float]
MOST_THINGS = 6


def cast_scene(
    rng: np.random.Generator, puzzles: Sequence[str], size: tuple[int, int], frames: int, unseen: bool
) -> Scene:
    """A scene that holds the puzzles (keys of PUZZLES), with 3 to 6 things.

    Args:
        rng: of all that is drawn.
        puzzles: the first is always there, the others as far as there is room.
        size: height and width of the pictures.
        frames: T.
        unseen: whether kinds may have the colours that training never shows.
    """
    cast = Casting(rng, unseen)
    roles: list[Role] = []
    for puzzle in puzzles:
        more = PUZZLES[puzzle](cast, cast.look(wanted=unseen and rng.random() < 0.6))
        roles += more if len(roles) + len(more) <= MOST_THINGS else []
    while len(roles) < 3 or (len(roles) < MOST_THINGS and rng.random() < 0.25):
        look = cast.look(tuple(KINDS))
        roles.append(Role(look, cast.manner(look)))
    things, taken = [], [(role.x, role.y) for role in roles if role.x is not None and role.y is not None]
    for role in roles:
        place = _place(rng, role, taken)
        taken.append(place)
        things.append(_thing(rng, role, place, frames))
    return Scene(tuple(things), draw_camera(rng, frames, size), size)


def _place(rng: np.random.Generator, role: Role, taken: Sequence[Place]) -> Place:
    """The role's own place, or of several drawn ones that farthest from the others."""
    tall = SIZES[role.look.size] * KINDS[role.look.kind].scale
    low, high = (0.18, 0.6) if KINDS[role.look.kind].home == "air" else (0.42, 0.9 - tall / 2)
    places = rng.uniform((0.16, low), (0.84, max(high, low + 0.05)), (10, 2))
    if role.x is not None:
        places[:, 0] = role.x
    if role.y is not None:
        places[:, 1] = role.y
    gaps = [min((np.hypot(*(place - other)) for other in map(np.array, taken)), default=0.0) for place in places]
    x, y = places[int(np.argmax(gaps))]
    return float(x), float(np.clip(y, tall / 2 + 0.03, 0.97 - tall / 2))


def _thing(rng: np.random.Generator, role: Role, place: Place, frames: int) -> Thing:
    feet = place[1] + SIZES[role.look.size] * KINDS[role.look.kind].scale / 2
    return Thing(
        look=role.look,
        track=_timed(make_track(rng, role.manner, place, frames), role, frames),
        # What stands lower in the picture is nearer; the little that is added breaks ties.
        depth=(feet if role.depth is None else role.depth) + rng.uniform(0, 0.001),
        facing=int(rng.choice([-1, 1])),
        build=tuple(rng.uniform(-1, 1, 3).tolist()),
        rate=rng.uniform(0.6, 1.1),
        seed=int(rng.integers(1 << 31)),
    )


def _timed(track: Track, role: Role, frames: int) -> Track:
    """The track begun later by the role's delay, and gone through at its pace about the middle."""
    t = np.arange(frames)
    when = np.clip(t - role.delay * frames, 0, frames - 1)
    track = Track(**{name: np.interp(when, t, values) for name, values in vars(track).items()})
    middle = track.x.mean()
    return replace(track, x=middle + role.pace * (track.x - middle))
