"""A frame's objects, prepared for comparison: their boundaries, and what lies near them, of all objects at once.

A set of objects is bits in P bytes: byte 0 has objects 1–8, byte 1 objects 9–16 and so on (np.packbits). So one OR
handles eight objects' pixels.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

_SETS = np.packbits(np.eye(256, dtype=bool)[:, 1:], axis=1)  # [256, 32] id → the set of that object; 0 → none


@dataclass(frozen=True, eq=False)
class Boundary:
    """The pixels on a boundary of any object, from top to bottom.

    rows, columns [N]     int64, where in the image
    members       [N, P]  uint8, the set of objects on whose boundary the pixel is
    """

    rows: np.ndarray
    columns: np.ndarray
    members: np.ndarray


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Objects 1 … `count` of a frame; what is computed of it stays, for the next comparison.

    ids     [H, W] uint8, C-contiguous, at most `count`; 0 is background
    radius  in pixels: boundaries this near each other agree
    """

    ids: np.ndarray
    count: int
    radius: int

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right (exclusive) of all objects together; zeros where there is none."""
        left, top, width, height = cv2.boundingRect(self.ids)
        return top, left, top + height, left + width

    @cached_property
    def boundary(self) -> Boundary:
        """Pixels that differ from their east, south or south-east neighbour; the image's edge is no boundary.

        Of the objects that these four pixels show, none shows in all four: so each has a boundary here.
        """
        top, left, bottom, right = self.box
        top, left = max(top - 1, 0), max(left - 1, 0)
        around = cv2.copyMakeBorder(self.ids[top : bottom + 1, left : right + 1], 0, 1, 0, 1, cv2.BORDER_REPLICATE)
        # Flat, because a neighbour is then a shift, and numpy finds positions faster.
        width, ids = around.shape[1], around.reshape(-1)
        size = ids.size - width - 1
        here, *others = [ids[shift : shift + size] for shift in (0, 1, width, width + 1)]
        changes = (here != others[0]) | (here != others[1]) | (here != others[2])
        changes[width - 1 :: width] = False  # the border
        where = np.flatnonzero(changes)
        sets = _SETS[:, : -(-self.count // 8)]
        members = np.bitwise_or.reduce([sets.take(neighbours.take(where), axis=0) for neighbours in (here, *others)])
        rows, columns = np.divmod(where, width)
        return Boundary(rows + top, columns + left, members)

    def near(self, boundary: Boundary) -> np.ndarray:
        """[N, P] for each pixel of another map's boundary, the objects of this map whose boundary is near it."""
        top, left, planes = self._neighbourhood
        rows, columns = boundary.rows - top, boundary.columns - left
        _, height, width = planes.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found = np.zeros((len(rows), len(planes)), dtype=np.uint8)
        found[inside] = planes[:, rows[inside], columns[inside]].T
        return found

    @cached_property
    def _neighbourhood(self) -> tuple[int, int, np.ndarray]:
        """Of each pixel [P, h, w] the objects whose boundary is near it; first, the row and column of its corner."""
        rows, columns, members = self.boundary.rows, self.boundary.columns, self.boundary.members
        if len(rows) == 0:
            return 0, 0, np.zeros((members.shape[1], 0, 0), dtype=np.uint8)
        top, left = rows[0], columns.min()
        planes = np.zeros((members.shape[1], rows[-1] - top + 1, columns.max() - left + 1), dtype=np.uint8)
        planes[:, rows - top, columns - left] = members.T
        return top - self.radius, left - self.radius, np.stack([dilated(plane, self.radius) for plane in planes])


def dilated(plane: np.ndarray, radius: int) -> np.ndarray:
    """[h, w] uint8 → [h + 2·radius, w + 2·radius]: the OR over the disk dy² + dx² ≤ radius² around each pixel.

    The image is one long row with room between its rows, so that a shift is a slice. The disk is taken row by row:
    its row at dy is as wide as `window`, the OR of so many pixels in a row, which grows by doubling.
    """
    height, width = (side + 2 * radius for side in plane.shape)
    found = np.zeros(height * width, dtype=np.uint8)
    if not plane.any():
        return found.reshape(height, width)
    margin = radius * (width + 1)
    window = np.zeros(found.size + 2 * margin, dtype=np.uint8)
    inner = slice(radius, radius + plane.shape[0]), slice(radius, radius + plane.shape[1])
    window[margin : margin + found.size].reshape(height, width)[inner] = plane
    length = 1
    for dy in range(radius, -1, -1):
        half = math.isqrt(radius**2 - dy**2)
        while length < 2 * half + 1:
            step = min(length, 2 * half + 1 - length)
            window = window[:-step] | window[step:]
            length += step
        for shift in {-dy, dy}:
            start = margin + shift * width - half
            found |= window[start : start + found.size]
    return found.reshape(height, width)
