"""What is behind the things: drawn textures of several sorts, or the user's own pictures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from util.errors import InputError
from util.mask_io import read_image

MARGIN = 1.3  # a background is this much larger than the picture, so that the camera has room
SUFFIXES = (".jpg", ".jpeg", ".png")


def find_pictures(folder: Path) -> list[Path]:
    """All pictures under `folder`, in folders of frames too, sorted. Raises InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --backgrounds takes a folder of pictures or of folders of frames")
    files = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise InputError(
            f"{folder}: no picture in it ({', '.join(SUFFIXES)}); leave --backgrounds out to have them drawn"
        )
    return files


def make_background(rng: np.random.Generator, size: tuple[int, int], pictures: Sequence[Path] = ()) -> np.ndarray:
    """A background for pictures of `size` (height, width): [MARGIN · H, MARGIN · W, 3] uint8, RGB."""
    height, width = (round(MARGIN * side) for side in size)
    if pictures:
        return _cover(rng, read_image(pictures[rng.integers(len(pictures))]), height, width)
    drawn = _DRAWN[rng.integers(len(_DRAWN))](rng, height, width)
    noise = _clouds(rng, height, width)[..., None] - 0.5
    return np.clip(drawn + rng.uniform(10, 45) * noise, 0, 255).astype(np.uint8)


def _cover(rng: np.random.Generator, picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A part of the picture in the wanted shape, perhaps mirrored."""
    factor = max(height / picture.shape[0], width / picture.shape[1]) * rng.uniform(1, 1.25)
    shape = (max(width, round(picture.shape[1] * factor)), max(height, round(picture.shape[0] * factor)))
    picture = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    top, left = rng.integers(shape[1] - height + 1), rng.integers(shape[0] - width + 1)
    part = picture[top : top + height, left : left + width]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def _muted(rng: np.random.Generator) -> np.ndarray:
    """A colour without much of a hue: backgrounds do not shout."""
    return np.clip(rng.uniform(70, 200) + rng.uniform(-24, 24, 3), 0, 255)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise of several scales, [height, width] in 0…1."""
    total = np.zeros((height, width), np.float32)
    for cells, weight in ((3, 1.0), (7, 0.6), (16, 0.4), (48, 0.25)):
        small = rng.random((cells, cells * 2)).astype(np.float32)
        total += weight * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def _mixed(share: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return share[..., None] * one + (1 - share[..., None]) * other


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return _mixed(_clouds(rng, height, width), _muted(rng), _muted(rng))


def _landscape(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Sky, a wavy horizon, and ground that is lighter in front."""
    y = np.linspace(0, 1, height)[:, None]
    waves = rng.uniform(0.01, 0.05) * np.sin(np.linspace(0, rng.uniform(3, 14), width) + rng.uniform(0, 6))
    horizon = rng.uniform(0.35, 0.55) + waves[None]
    haze = np.broadcast_to(y * 1.6, (height, width)).clip(0, 1)
    sky = _mixed(haze, np.full(3, 222.0), _muted(rng) + np.array([0, 10, 30]))
    ground = _muted(rng) * (0.75 + 0.4 * y)[..., None]
    edge = np.clip((y - horizon) * height / 3, 0, 1)
    return _mixed(edge, np.broadcast_to(ground, (height, width, 3)), sky)


def _tiles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bricks or slabs with joints, each of its own shade."""
    tall = int(rng.integers(12, 44) * height / 250) + 4
    wide = int(tall * rng.choice([1.0, 2.0, 3.0]))
    rows = np.arange(height) // tall
    columns = (np.arange(width)[None] + (rows % 2 * wide // 2)[:, None]) // wide
    shades = rng.uniform(0.82, 1.12, (rows.max() + 1, columns.max() + 1))
    picture = _muted(rng) * shades[rows[:, None], columns][..., None]
    inner = (np.arange(width)[None] + (rows % 2 * wide // 2)[:, None]) % wide
    joints = (np.arange(height) % tall < 2)[:, None] | (inner < 2)
    picture[joints] *= rng.uniform(0.6, 0.9)
    return picture


def _clutter(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Many blurred patches on top of one another."""
    picture = np.full((height, width, 3), _muted(rng), np.uint8)
    for _ in range(rng.integers(25, 70)):
        centre = rng.uniform(0, 1, 2) * (width, height)
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 9)))
        radii = rng.uniform(0.04, 0.22, len(angles)) * height
        corners = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(picture, [corners.astype(np.int32)], _muted(rng).tolist(), cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 3.5)).astype(np.float32)


def _planks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Boards with a grain along them."""
    wide = int(rng.integers(24, 60) * height / 250) + 4
    shades = rng.uniform(0.85, 1.1, width // wide + 1)[np.arange(width) // wide]
    shades = shades * np.where(np.arange(width) % wide < 2, 0.7, 1.0)
    grain = cv2.resize(rng.random((6, width)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    boards = (shades[None] * (0.85 + 0.2 * grain))[..., None] * _muted(rng)
    if rng.random() < 0.5:
        return boards
    return cv2.resize(np.ascontiguousarray(boards.transpose(1, 0, 2)), (width, height))


_DRAWN = (_noise, _landscape, _landscape, _tiles, _clutter, _planks)
