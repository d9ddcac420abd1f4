"""COCO's run-length codes (RLE): masks in, and codes and polygons from files checked before pycocotools sees them.

pycocotools trusts what it is given: a malformed code makes it read past its end, a polygon far outside the image crash.
"""

from numbers import Integral, Real
from typing import Any

import numpy as np
from pycocotools import mask as rle_ops

from util.errors import InputError
from util.mask_io import MOST_PIXELS

Rle = dict[str, Any]  # {"size": [H, W], "counts": bytes}, checked
LONGEST_OUTLINE = 100  # times the image's height and width: pycocotools walks along it


def encoded_masks(masks: np.ndarray) -> list[dict[str, Any]]:
    """Masks bool [N, H, W] → N codes as JSON takes them: {"size": [H, W], "counts": text}."""
    codes = rle_ops.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
    return [{"size": list(code["size"]), "counts": code["counts"].decode()} for code in codes]


def checked_rle(segmentation: object, size: tuple[int, int], where: str) -> Rle:
    """A segmentation as compressed RLE, proven to cover `size` (H, W): pycocotools reads past a malformed one.

    Args:
        segmentation: {"size": [H, W], "counts": text, bytes or list of run lengths}, or a list of polygons.
        size: the image's (H, W).
        where: starts the messages.

    Raises:
        InputError: malformed, of another size, or of an image larger than pycocotools can count.
    """
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"{where}: an image of {list(size)} [H, W] is too large, {MOST_PIXELS} pixels at most; make it smaller"
        )
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, size, where)
    if not isinstance(segmentation, dict) or not isinstance(segmentation.get("size"), list | tuple):
        raise InputError(f'{where}: "segmentation" must be an RLE with "size" and "counts"')
    if tuple(segmentation["size"]) != size:
        raise InputError(
            f"{where}: the mask has size {list(segmentation['size'])}, the image {list(size)} [H, W]; give it that size"
        )
    counts = segmentation.get("counts")
    try:
        runs = _runs_of_list(counts) if isinstance(counts, list) else _runs_of_text(counts)
    except ValueError as error:
        raise InputError(f"{where}: malformed RLE: {error}; write it again") from error
    if runs.sum() != size[0] * size[1]:
        raise InputError(
            f"{where}: malformed RLE: its runs cover {runs.sum()} of {size[0] * size[1]} pixels; write it again"
        )
    if isinstance(counts, list):
        return rle_ops.frPyObjects({"size": list(size), "counts": counts}, *size)
    return {"size": list(size), "counts": counts.encode() if isinstance(counts, str) else counts}


def _runs_of_list(counts: list) -> np.ndarray:
    if not all(isinstance(count, Integral) and 0 <= count < 1 << 32 for count in counts):
        raise ValueError("a run length is not a whole number from 0 on, of 32 bits")
    return np.array(counts, dtype=np.int64)


def _runs_of_text(counts: object) -> np.ndarray:
    """Run lengths of COCO's compressed form: numbers in groups of 5 bits, lowest first, one character a group."""
    if not isinstance(counts, str | bytes):
        raise ValueError('"counts" must be text or a list')
    text = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    groups = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    # Bit 5 of a group says that the number goes on, bit 4 of its last group is its sign.
    if groups.size == 0 or groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        raise ValueError("it is empty, cut off or holds foreign characters")
    last = np.flatnonzero(groups & 32 == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(groups.size) - np.repeat(first, last - first + 1)
    if place.max() > 6:
        raise ValueError("a run length has more than 32 bits")
    runs = np.add.reduceat((groups & 31) << 5 * place, first)
    runs -= np.where(groups[last] & 16, 1 << 5 * (place[last] + 1), 0)
    # From the fourth on, each number is the difference to the one two before it.
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    if runs.min() < 0:
        raise ValueError("a run length is negative")
    return runs


def _from_polygons(polygons: list, size: tuple[int, int], where: str) -> Rle:
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(isinstance(x, Real) and not isinstance(x, bool) for x in polygon)
        # Four numbers would be taken for a box.
        if not numbers or len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f"{where}: a polygon must be a list x, y, x, y, … of at least three points")
        if not all(abs(x) <= 2 * max(size) for x in polygon):
            raise InputError(f"{where}: a polygon far outside the image; get the file again")
        if _length(polygon) > LONGEST_OUTLINE * sum(size):
            raise InputError(
                f"{where}: a polygon longer than {LONGEST_OUTLINE} times the image's height and width; "
                "get the file again"
            )
    if not polygons:
        raise InputError(f"{where}: no polygon in its segmentation; get the file again")
    return rle_ops.merge(rle_ops.frPyObjects(polygons, *size))


def _length(polygon: list) -> float:
    """Steps along a polygon x, y, x, y, … and back to its first point, one a pixel."""
    points = np.array(polygon, dtype=float).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())
