"""Paste a moving object, cut out of a donor clip by its masks, into a host clip: real pixels, two true masks.

Images are RGB uint8 [H, W, 3]. Points are (x, y) in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

HOST, PASTED = 1, 2  # object ids of a result

EDGE_BLUR = 1.0  # pixels of the host: the blur that makes an edge soft
EDGE = (0.3, 0.9)  # blurred masks become opacities from 0 to 1 between these; their middle, 0.6, shrinks the object
NO_BLUR = 0.2  # pixels of the donor: a blur too weak to matter
PAD = 4  # pixels of the host around the object's box, for the soft edge
COLOUR_STRENGTH = 0.4  # 0 leaves the donor's colours, 1 gives them the host's brightness, tint and contrast
RATIOS = (0.67, 1.5)  # of two clips' light: more is not matched


@dataclass(frozen=True)
class PastePath:
    """How the donor's object goes through the host's T frames.

    sources   int [T]: the donor's frame that is shown
    shifts    float [T, 2]: added to the donor's scaled (and mirrored) points
    scale     pixels of the host a pixel of the donor
    flip      mirrored left to right
    in_front  of the host's object, or behind it
    """

    sources: np.ndarray
    shifts: np.ndarray
    scale: float
    flip: bool
    in_front: bool

    def __len__(self) -> int:
        return len(self.sources)

    def matrix(self, frame: int) -> np.ndarray:
        """[2, 3] map from the donor's points to the host's in frame `frame`."""
        along_x = -self.scale if self.flip else self.scale
        x, y = self.shifts[frame]
        return np.array([[along_x, 0, x], [0, self.scale, y]])


def compose(
    frames: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    donor_frames: Sequence[np.ndarray],
    donor_masks: Sequence[np.ndarray],
    path: PastePath,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the host's frames with the donor's object pasted in, and their label maps, one by one.

    Arrays and sequences that read a frame when asked for it serve alike, so memory need not grow with the clip.

    Args:
        frames: the host's, at least T of them, [H, W, 3].
        masks: the host's objects, [H, W] bool or uint8: 1 is its object; others, not 0, stay in front together with it
            where the pasted one goes behind, and are not in the result.
        donor_frames: the donor's, [H', W', 3].
        donor_masks: its object, [H', W'] bool.
        path: T frames of motion.

    Yields:
        T times: frame uint8 [H, W, 3] and labels uint8 [H, W], 1 the host's object, 2 the pasted one, where each shows.
    """
    colours = None
    for index in range(len(path)):
        frame, mask = frames[index], masks[index]
        source = int(path.sources[index])
        donor, cut = donor_frames[source], donor_masks[source]
        if colours is None:  # of the first frame, for all: the object must not flicker
            colours = colour_table(donor, frame)
        matrix = path.matrix(index)
        where = placed_box(cut, matrix, frame.shape[:2])
        if where is None:
            yield frame.copy(), (mask == HOST).astype(np.uint8)
            continue
        pixels, opacity = _placed(donor, cut, matrix, where)
        if not path.in_front:
            opacity = opacity * (1 - _hiding(mask[where] != 0))
        yield _blend(frame, mask, where, cv2.LUT(pixels, colours), opacity)


def placed_box(cut: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a frame of `size` (H, W) that the donor's object comes to lie in; None outside of it."""
    left, top, width, height = cv2.boundingRect(cut.view(np.uint8))
    if not width:
        return None
    corners = np.array([[left, top], [left + width, top + height]]) @ matrix[:, :2].T + matrix[:, 2]
    start = np.floor(corners.min(axis=0)).astype(int) - PAD
    stop = np.ceil(corners.max(axis=0)).astype(int) + PAD
    start, stop = np.maximum(start, 0), np.minimum(stop, size[::-1])
    if (start >= stop).any():
        return None
    return slice(start[1], stop[1]), slice(start[0], stop[0])


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
    """Image or mask [H', W', ...] uint8 or float32 → its place in a frame of `size` (H, W); 0 where nothing lies."""
    return cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=border)


def colour_table(donor: np.ndarray, host: np.ndarray) -> np.ndarray:
    """[1, 256, 3] uint8 table that brings the donor's light part of the way to the host's.

    Brightness and tint are gains, contrast is one number for all channels, so that black gets no tint. Whole frames
    are compared, not objects: in the same light a black swan stays black.
    """
    (donor_mean, donor_spread), (mean, spread) = (
        [values[:, 0] for values in cv2.meanStdDev(image)] for image in (donor, host)
    )
    gain = _part_of_the_way(mean / np.maximum(donor_mean, 1))
    contrast = _part_of_the_way(spread.mean() / max((gain * donor_spread).mean(), 1))
    middle = (gain * donor_mean).mean()
    levels = np.arange(256)[:, None] * gain
    return np.rint((levels - middle) * contrast + middle).clip(0, 255).astype(np.uint8)[None]


def _part_of_the_way(ratio: np.ndarray) -> np.ndarray:
    return np.clip(ratio, *RATIOS) ** COLOUR_STRENGTH


def _placed(
    donor: np.ndarray, cut: np.ndarray, matrix: np.ndarray, where: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """The donor's object where it comes to lie: pixels [h, w, 3] and opacity float32 [h, w] in [0, 1]."""
    rows, columns = where
    size = rows.stop - rows.start, columns.stop - columns.start
    matrix = matrix - [[0, 0, columns.start], [0, 0, rows.start]]
    scale = matrix[1, 1]
    left, top, width, height = cv2.boundingRect(cut.view(np.uint8))
    pad = int(np.ceil(PAD / scale))
    crop = np.s_[max(top - pad, 0) : top + height + pad, max(left - pad, 0) : left + width + pad]
    matrix[:, 2] += matrix[:, :2] @ (crop[1].start, crop[0].start)
    pixels, weights = donor[crop], cut[crop].astype(np.float32)
    blur = 0.5 * np.sqrt(max(1 / scale**2 - 1, 0))
    if blur > NO_BLUR:  # what a smaller picture cannot show would flicker
        pixels, weights = (cv2.GaussianBlur(values, (0, 0), blur) for values in (pixels, weights))
    opacity = (_soft(warp(weights, matrix, size)) - EDGE[0]) / (EDGE[1] - EDGE[0])
    return warp(pixels, matrix, size, cv2.BORDER_REPLICATE), opacity.clip(0, 1)


def _soft(mask: np.ndarray) -> np.ndarray:
    """Mask [h, w] → float32 in [0, 1] with a soft edge."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), EDGE_BLUR)


def _hiding(mask: np.ndarray) -> np.ndarray:
    """Mask bool [h, w] → how much it hides of what is behind: all inside of it, less and less beside it."""
    return np.maximum(_soft(mask), mask)


def _blend(
    frame: np.ndarray, mask: np.ndarray, where: tuple[slice, slice], pixels: np.ndarray, opacity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The frame with `pixels` laid over its part `where`, and the labels of what shows."""
    frame, labels = frame.copy(), (mask == HOST).astype(np.uint8)
    under = frame[where].astype(np.float32)
    frame[where] = np.rint(under + opacity[..., None] * (pixels - under))
    labels[where][opacity > 0.5] = PASTED
    return frame, labels
