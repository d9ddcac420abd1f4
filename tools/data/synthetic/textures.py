"""Coats: a colour and a pattern become a small picture in a thing's own coordinates and move with it."""

import cv2
import numpy as np

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (202, 38, 42),
    "orange": (238, 128, 28),
    "yellow": (240, 214, 48),
    "green": (44, 148, 62),
    "blue": (40, 88, 208),
    "purple": (126, 52, 168),
    "pink": (244, 140, 186),
    "brown": (128, 82, 46),
    "black": (40, 40, 44),
    "white": (240, 240, 236),
    "grey": (138, 141, 145),
}
PATTERNS = ("plain", "striped", "spotted", "checkered", "furry", "shiny")

WHITE = np.full(3, 250.0)
# Half of a checkered coat is marks: were they as strong as stripes, black and white would look the same.
MARK_SHARE = {"striped": 0.68, "spotted": 0.7, "checkered": 0.48}
SIDE = 96  # pixels of a coat
REACH = 1.25  # it covers local coordinates from -REACH to REACH


def coat(rng: np.random.Generator, colour: str, pattern: str) -> np.ndarray:
    """The coat, [SIDE, SIDE, 3] float32 in 0…255, RGB."""
    base = _shifted(rng, COLOURS[colour])
    picture = np.broadcast_to(base, (SIDE, SIDE, 3)).astype(np.float32)
    if pattern in _MARKS:
        share = cv2.GaussianBlur(_MARKS[pattern](rng), (0, 0), 0.7)[..., None]
        marks = WHITE if pattern == "shiny" else _mark_colour(rng, base, MARK_SHARE[pattern])
        picture = picture * (1 - share) + marks * share
    grain = 26 if pattern == "furry" else 3
    return np.clip(picture + grain * _grain(rng, pattern)[..., None], 0, 255)


def to_local() -> np.ndarray:
    """[2, 3] from a coat's pixels to local coordinates."""
    step = 2 * REACH / (SIDE - 1)
    return np.array([[step, 0, -REACH], [0, step, -REACH]])


def _shifted(rng: np.random.Generator, colour: tuple[int, int, int]) -> np.ndarray:
    """Another shade of the same name."""
    return np.clip(np.array(colour) * rng.uniform(0.92, 1.06) + rng.uniform(-9, 9, 3), 8, 248)


def _mark_colour(rng: np.random.Generator, base: np.ndarray, share: float) -> np.ndarray:
    """Marks are darker or lighter, never of another colour's name; `share` of the way to black or white."""
    brightness = base @ (0.3, 0.59, 0.11)
    light = brightness < 80 or (brightness < 150 and rng.random() < 0.5)
    return base + share * ((WHITE if light else 0) - base)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    line = np.linspace(-REACH, REACH, SIDE, dtype=np.float32)
    return np.meshgrid(line, line)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    turn, period = rng.uniform(0, np.pi), rng.uniform(0.26, 0.36)
    along = (x * np.cos(turn) + y * np.sin(turn)) / period + rng.random()
    return (along % 1 < 0.42).astype(np.float32)


def _spots(rng: np.random.Generator) -> np.ndarray:
    pitch = rng.uniform(0.28, 0.36)
    lines = np.arange(-REACH, REACH + pitch, pitch)
    marks = np.zeros((SIDE, SIDE), np.float32)
    for row, y in enumerate(lines):
        for x in lines + pitch / 2 * (row % 2):
            centre = (np.array([x, y]) + rng.uniform(-0.12, 0.12, 2) * pitch + REACH) / (2 * REACH) * SIDE
            cv2.circle(
                marks, centre.astype(int).tolist(), round(rng.uniform(0.26, 0.34) * pitch / (2 * REACH) * SIDE), 1, -1
            )
    return marks


def _checks(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    side = rng.uniform(0.16, 0.22)
    return ((np.floor(x / side) + np.floor(y / side)) % 2).astype(np.float32)


def _reflections(rng: np.random.Generator) -> np.ndarray:
    """Broad soft bands of light, as on metal."""
    x, y = _grid()
    turn = rng.uniform(0.5, 1.1)
    return 0.6 * np.abs(np.sin((x * np.cos(turn) + y * np.sin(turn)) * 3.4 + rng.uniform(0, 3))) ** 14


_MARKS = {"striped": _stripes, "spotted": _spots, "checkered": _checks, "shiny": _reflections}


def _grain(rng: np.random.Generator, pattern: str) -> np.ndarray:
    """Unit noise; strands for fur."""
    noise = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    if pattern == "furry":
        noise = cv2.blur(noise, (1, 5))
    return noise / noise.std()
