"""Pictures for people: masks, boxes and points drawn on frames, and many frames on one sheet.

Every function returns a new picture and leaves its input alone. Pictures are uint8 RGB [H, W, 3], colours (r, g, b).
"""

from collections.abc import Sequence

import cv2
import numpy as np

Color = tuple[int, int, int]

# Strong hues that stay apart on photographs.
FIRST_COLORS: tuple[Color, ...] = (
    (255, 75, 60),
    (30, 150, 255),
    (255, 200, 30),
    (40, 200, 110),
    (205, 90, 235),
    (255, 135, 20),
    (60, 215, 225),
    (250, 120, 180),
)
TINT = 0.45  # how much of the mask's colour covers the picture
PAPER = 24  # the grey of a sheet between its pictures


def distinct_colors(n: int) -> list[Color]:
    """`n` colours, each as far as can be from those before it; the first ones are the same for every `n`."""
    colors = list(FIRST_COLORS[:n])
    hues, saturations, values = np.meshgrid(np.arange(0, 180, 6), (130, 190, 250), (140, 200, 255))
    candidates = np.stack([hues, saturations, values], axis=-1).reshape(1, -1, 3).astype(np.uint8)
    candidates = cv2.cvtColor(candidates, cv2.COLOR_HSV2RGB)
    distances = np.full(candidates.shape[1], np.inf)
    for i in range(n):
        if i >= len(colors):
            colors.append(tuple(candidates[0, distances.argmax()].tolist()))
        distances = np.minimum(distances, _color_distance(candidates[0], colors[i]))
    return colors


def overlay(image: np.ndarray, masks: Sequence[np.ndarray], colors: Sequence[Color]) -> np.ndarray:
    """Tint each mask in its colour and draw its outline, the last one on top.

    Args:
        image: uint8 [H, W, 3].
        masks: bool [H, W] each.
        colors: one for each mask.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: a mask is not of the image's size, or the numbers of masks and colours differ.
    """
    picture = image.copy()
    for mask, color in zip(masks, colors, strict=True):
        if mask.shape != image.shape[:2]:
            raise ValueError(f"a mask of {mask.shape} on an image of {image.shape[:2]}")
        inside = mask.astype(bool)
        picture[inside] = np.round((1 - TINT) * picture[inside] + TINT * np.array(color)).astype(np.uint8)
    # Outlines last: where objects overlap, a later tint would hide an earlier outline.
    for mask, color in zip(masks, colors, strict=True):
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, color, _line_width(image), cv2.LINE_AA)
    return picture


def draw_box(image: np.ndarray, box: Sequence[float], color: Color) -> np.ndarray:
    """Draw a box (x1, y1, x2, y2) in pixels; a dark edge keeps it visible on a ground of its own colour."""
    picture, width = image.copy(), _line_width(image) + 1
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    cv2.rectangle(picture, (x1, y1), (x2, y2), (0, 0, 0), width + 2)
    cv2.rectangle(picture, (x1, y1), (x2, y2), color, width)
    return picture


def draw_points(image: np.ndarray, points: np.ndarray, color: Color) -> np.ndarray:
    """Draw points, [N, 2] as (x, y) in pixels, as dots with a white rim."""
    picture, radius = image.copy(), 1 + 2 * _line_width(image)
    for x, y in np.asarray(points, dtype=float).reshape(-1, 2):
        centre = (round(x), round(y))
        cv2.circle(picture, centre, radius + max(1, radius // 3), (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, color, -1, cv2.LINE_AA)
    return picture


def contact_sheet(images: Sequence[np.ndarray], columns: int, width: int) -> np.ndarray:
    """Put pictures on one sheet, row by row, each scaled to its cell without distortion.

    Args:
        images: uint8 [h, w, 3] each; sizes may differ.
        columns: how many beside each other.
        width: the sheet's, in pixels.

    Returns:
        uint8 [H, width, 3].

    Raises:
        ValueError: there is no picture, or no room for one.
    """
    gap = max(2, width // 200)
    cell = (width - gap * (columns + 1)) // columns if columns > 0 else 0
    if not images or cell < 1:
        raise ValueError(f"no sheet of {len(images)} pictures in {columns} columns on {width} pixels")
    scaled = [_scaled_to_width(image, cell) for image in images]
    bands = []
    for start in range(0, len(scaled), columns):
        row = scaled[start : start + columns]
        band = np.full((max(image.shape[0] for image in row) + gap, width, 3), PAPER, dtype=np.uint8)
        for i, image in enumerate(row):
            left = gap + i * (cell + gap)
            band[gap : gap + image.shape[0], left : left + cell] = image
        bands.append(band)
    return np.concatenate([*bands, np.full((gap, width, 3), PAPER, dtype=np.uint8)])


def _color_distance(colors: np.ndarray, other: Color) -> np.ndarray:
    """How different each of uint8 [N, 3] looks from `other`: the distance in CIE Lab, float [N]."""
    both = np.concatenate([colors, np.array([other], dtype=np.uint8)])
    lab = cv2.cvtColor(both[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    return np.linalg.norm(lab[:-1] - lab[-1], axis=1)


def _line_width(image: np.ndarray) -> int:
    """A width that looks the same on pictures of every size."""
    return max(1, round(min(image.shape[:2]) / 240))


def _scaled_to_width(image: np.ndarray, width: int) -> np.ndarray:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    # Area averaging shrinks without flicker but enlarges into blocks.
    how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how)
