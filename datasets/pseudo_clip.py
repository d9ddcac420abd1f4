"""Pseudo-clips: an image and random views of it, as if a camera had moved (spec §3, Pseudo-clips).

Images are RGB uint8 [H, W, 3], masks bool [H, W]; the generator decides everything.
"""

import cv2
import numpy as np

PERSPECTIVE = 0.08  # a corner moves by up to this part of the side
ROTATION = 20.0  # degrees
TRANSLATION = 0.1  # of the side
BRIGHTNESS = 40
HUE_SATURATION = 5  # OpenCV's 8-bit units: hue in 2°, saturation in 1/255
BLUR_PROBABILITY = 0.25
BLUR_SIZES = (9, 11)  # pixels


def pseudo_clip(
    image: np.ndarray, mask: np.ndarray, length: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """A clip of `length` frames: the image itself and `length` − 1 random views of it, shuffled.

    Returns the frames and the object's masks, [T, H, W] bool; a view may have lost the object.
    """
    views = [(image, mask), *(random_view(image, mask, rng) for _ in range(length - 1))]
    shuffled = [views[i] for i in rng.permutation(length)]
    return [frame for frame, _ in shuffled], np.stack([masked for _, masked in shuffled])


def random_view(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One random view: moved camera, changed light, sometimes motion blur. Returns its image and mask."""
    homography = _random_homography(image.shape[:2], PERSPECTIVE, rng)
    view = _random_colour(_warp(image, homography, cv2.INTER_LINEAR), rng)
    if rng.random() < BLUR_PROBABILITY:
        view = cv2.filter2D(view, -1, _motion_kernel(int(rng.choice(BLUR_SIZES)), rng.uniform(0, 180)))
    return view, _warp(mask.astype(np.uint8), homography, cv2.INTER_NEAREST).astype(bool)


def random_affine(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image a little rotated and shifted, with black where nothing comes to lie."""
    return _warp(image, _random_homography(image.shape[:2], 0.0, rng), cv2.INTER_LINEAR)


def _random_homography(size: tuple[int, int], perspective: float, rng: np.random.Generator) -> np.ndarray:
    """[3, 3] map of pixels: corners jittered, then a rotation about the centre, then a shift."""
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    jitter = rng.uniform(-perspective, perspective, (4, 2)) * (width, height)
    tilt = cv2.getPerspectiveTransform(corners, (corners + jitter).astype(np.float32))
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-ROTATION, ROTATION), 1.0)
    turn[:2, 2] += rng.uniform(-TRANSLATION, TRANSLATION, 2) * (width, height)
    return turn @ tilt


def _warp(image: np.ndarray, homography: np.ndarray, interpolation: int) -> np.ndarray:
    """The image moved. The rim stays black: a mirrored one would show parts of the object outside its mask."""
    return cv2.warpPerspective(image, homography, image.shape[1::-1], flags=interpolation)


def _random_colour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other brightness, other hue and saturation, or both."""
    brightness, tint = ((True, False), (False, True), (True, True))[rng.integers(3)]
    levels = np.arange(256)
    if brightness:
        brighter = levels + rng.integers(-BRIGHTNESS, BRIGHTNESS, endpoint=True)
        image = cv2.LUT(image, brighter.clip(0, 255).astype(np.uint8))
    if tint:
        hue, saturation = rng.integers(-HUE_SATURATION, HUE_SATURATION, size=2, endpoint=True)
        tables = np.stack([(levels + hue) % 180, (levels + saturation).clip(0, 255), levels], axis=1)  # hue is a circle
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        image = cv2.cvtColor(cv2.LUT(hsv, tables.astype(np.uint8)[None]), cv2.COLOR_HSV2RGB)
    return image


def _motion_kernel(size: int, angle: float) -> np.ndarray:
    """[size, size] blur along a line through the middle; sums to 1."""
    line = np.zeros((size, size), np.float32)
    line[size // 2] = 1
    middle = (size - 1) / 2
    turned = cv2.warpAffine(line, cv2.getRotationMatrix2D((middle, middle), angle, 1.0), (size, size))
    return turned / turned.sum()
