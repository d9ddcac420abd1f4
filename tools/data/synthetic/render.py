"""Pictures of a scene: coats, light and shadow, motion of the camera, noise and blur."""

from collections.abc import Iterator

import cv2
import numpy as np

from . import textures
from .backgrounds import MARGIN
from .scene import Scene, Thing
from .shapes import KINDS
from .silhouettes import SHIFT, Figure, to_fixed_point

PAD = 3  # pixels around a figure: room for soft edges
SHADOW = 64  # side of the shadow's picture


def render(
    scene: Scene, figures: list[list[Figure]], background: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The frames in order, [H, W, 3] uint8, RGB."""
    coats = [textures.coat(np.random.default_rng(t.seed), t.look.colour, t.look.pattern) for t in scene.things]
    order = sorted(range(len(scene.things)), key=lambda k: scene.things[k].depth)
    light = np.array([rng.uniform(-0.9, 0.9), -1.0])
    film = _Film(rng, scene.size)
    centring = np.array([[1, 0, -(MARGIN - 1) / 2 * scene.size[1]], [0, 1, -(MARGIN - 1) / 2 * scene.size[0]]])
    for camera, row in zip(scene.camera, figures, strict=True):
        matrix = _after(camera, centring)
        frame = cv2.warpAffine(background, matrix, scene.size[::-1], borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        for k in order:
            _cast_shadow(frame, scene.things[k], row[k])
        for k in order:
            _paint(frame, scene.things[k], row[k], coats[k], light)
        yield film.expose(frame)


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine map that does `first`, then `second`; all [2, 3]."""
    return second @ np.vstack([first, (0, 0, 1)])


def _window(points: np.ndarray, frame: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns around the points, or None where they are outside the frame."""
    left, top = np.floor(points.min(axis=0)).astype(int) - PAD
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + PAD
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, frame.shape[1]), min(bottom, frame.shape[0])
    return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None


def _shadow_picture() -> np.ndarray:
    line = np.linspace(-1, 1, SHADOW, dtype=np.float32)
    return 1 - 0.55 * np.clip(1.6 * (1 - np.hypot(line[None], line[:, None])), 0, 1)


_SHADOW = _shadow_picture()


def _cast_shadow(frame: np.ndarray, thing: Thing, figure: Figure) -> None:
    """A soft dark spot on the ground under what stands on it."""
    if KINDS[thing.look.kind].home == "air":
        return
    points = np.concatenate([part.outline for part in figure.parts])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    # A hopping thing leaves its shadow behind on the ground.
    ground = bottom + (thing.track.y[0] * frame.shape[0] - figure.placed[1, 2]) * (np.ptp(thing.track.y) > 0.03)
    tall = 0.12 * (bottom - top)
    corners = np.array([(left, ground - tall), (right, ground + 0.6 * tall)])
    window = _window(corners, frame)
    if window is None:
        return
    scale = (corners[1] - corners[0]) / (SHADOW - 1)
    origin = corners[0] - (window[1].start, window[0].start)
    matrix = np.array([[scale[0], 0, origin[0]], [0, scale[1], origin[1]]])
    shape = (window[1].stop - window[1].start, window[0].stop - window[0].start)
    frame[window] *= cv2.warpAffine(_SHADOW, matrix, shape, borderValue=1.0)[..., None]


def _paint(frame: np.ndarray, thing: Thing, figure: Figure, coat: np.ndarray, light: np.ndarray) -> None:
    """Draws the figure over the frame, in place."""
    window = _window(np.concatenate([part.outline for part in figure.parts]), frame)
    if window is None:
        return
    origin = np.array([window[1].start, window[0].start])
    shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    alpha, paint = _fill_parts(figure, origin, shape)
    placed = figure.placed - np.array([[0, 0, origin[0]], [0, 0, origin[1]]])
    matrix = _after(placed, textures.to_local())
    cloth = cv2.warpAffine(coat, matrix, shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    bare = paint[..., 3:] / 255
    colour = paint[..., :3] * (bare + (1 - bare) * cloth / 255)
    colour = _lit(colour, alpha, light, figure.placed, thing.look.pattern == "shiny")
    frame[window] += (colour - frame[window]) * alpha[..., None]


def _fill_parts(figure: Figure, origin: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Alpha [h, w] in 0…1, and paint [h, w, 4]: a colour and 255, or the coat's tint and 0."""
    alpha = np.zeros(shape, np.uint8)
    paint = np.full((*shape, 4), (255, 255, 255, 0), np.uint8)
    for part in figure.parts:
        outline = [to_fixed_point(part.outline - origin)]
        tint = 255 * part.tint
        ink = (tint, tint, tint, 0) if part.colour is None else (*part.colour, 255)
        cv2.fillPoly(alpha, outline, 255, cv2.LINE_AA, SHIFT)
        cv2.fillPoly(paint, outline, ink, cv2.LINE_AA, SHIFT)
    return alpha.astype(np.float32) / 255, paint.astype(np.float32)


def _lit(colour: np.ndarray, alpha: np.ndarray, light: np.ndarray, placed: np.ndarray, shiny: bool) -> np.ndarray:
    """Light from one side on a body that bulges: its blurred silhouette is taken for its relief."""
    tall = float(np.sqrt(abs(np.linalg.det(placed[:, :2]))))
    sigma = max(0.07 * tall, 0.8)
    relief = cv2.GaussianBlur(alpha, (0, 0), sigma)
    slope = -sigma * (light[0] * cv2.Sobel(relief, cv2.CV_32F, 1, 0) + light[1] * cv2.Sobel(relief, cv2.CV_32F, 0, 1))
    brightness = 0.72 + 0.3 * relief + np.clip(0.07 * slope, -0.3, 0.3)
    colour = colour * brightness[..., None]
    if shiny:
        gloss = np.clip(slope / 3 - 0.08, 0, 0.35) * 2.4
        colour = colour + (255 - colour) * gloss[..., None].clip(0, 0.85)
    return colour


class _Film:
    """What a camera does to a picture: exposure, vignette, blur and noise, one draw a video."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]):
        self.rng = rng
        self.blur = rng.uniform(0.3, 0.9) if rng.random() < 0.6 else 0.0
        # One field of noise, shifted anew in each frame, costs a tenth of fresh noise.
        self.noise = rng.standard_normal((*size, 3)).astype(np.float32) * rng.uniform(1.5, 6)
        y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in size)
        vignette = 1 - rng.uniform(0, 0.12) * (x[None] ** 2 + y[:, None] ** 2)
        self.gain = (vignette * rng.uniform(0.88, 1.06))[..., None] * rng.uniform(0.96, 1.04, 3).astype(np.float32)

    def expose(self, frame: np.ndarray) -> np.ndarray:
        if self.blur:
            frame = cv2.GaussianBlur(frame, (0, 0), self.blur)
        shift = tuple(self.rng.integers(0, self.noise.shape[:2]))
        frame = frame * self.gain + np.roll(self.noise, shift, axis=(0, 1))
        return np.clip(frame, 0, 255).astype(np.uint8)
