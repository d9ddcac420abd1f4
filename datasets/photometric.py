"""Changes of colour in training (spec §3, Augmentation): drawn once a frame, applied to uint8 by table.

Brightness and contrast are functions of one number, hue and saturation become so in HSV, so each is a look-up in 256
entries. Values are clipped; they never wrap. HSV lies in 8 bits: there and back moves a pixel of a real frame by 0.07
levels on average, by 1 at the 99th percentile.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BRIGHTNESS = 32.0  # levels of 255, up or down
FACTORS = (0.5, 1.5)  # of contrast and of saturation
HUE = 18.0  # degrees, either way
PROBABILITY = 0.5
AUGMENTATIONS = ("all", "light", "none")

LEVELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True)
class ColourChange:
    """One draw; what is None was not drawn.

    before    [256] uint8 table of all channels ahead of the HSV part: brightness, and contrast where it comes first
    hsv       [1, 256, 3] uint8 tables of hue, saturation and value
    after     [256] uint8 table behind it: contrast where it comes last
    channels  the new order of red, green and blue
    """

    before: np.ndarray | None = None
    hsv: np.ndarray | None = None
    after: np.ndarray | None = None
    channels: tuple[int, ...] | None = None

    def apply(self, image: np.ndarray) -> np.ndarray:
        """RGB uint8 [H, W, 3] → the same, changed."""
        if self.before is not None:
            image = cv2.LUT(image, self.before)
        if self.hsv is not None:
            hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL), self.hsv)
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
        if self.after is not None:
            image = cv2.LUT(image, self.after)
        if self.channels is not None:
            planes = cv2.split(image)
            image = cv2.merge([planes[channel] for channel in self.channels])
        return image

    def apply_to_object(self, image: np.ndarray) -> np.ndarray:
        """The same for a reference: what is black in the image [H, W, 3], its background above all, stays black."""
        shown = cv2.bitwise_not(cv2.inRange(image, (0, 0, 0), (0, 0, 0)))  # [H, W], 255 on the object
        left, top, width, height = cv2.boundingRect(shown)
        inside = np.s_[top : top + height, left : left + width]
        result = np.zeros_like(image)
        if width:
            changed = self.apply(image[inside])
            result[inside] = cv2.bitwise_and(changed, changed, mask=shown[inside])
        return result


UNCHANGED = ColourChange()


def draw_colour_change(rng: np.random.Generator, augmentation: str = "all") -> ColourChange:
    """Brightness, contrast, saturation, hue and order of the channels, each with probability ½.

    "light" leaves out the last two, after which "the red one" may be another; "none" changes nothing.
    """
    if augmentation == "none":
        return UNCHANGED
    renames = augmentation == "all"
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS) if _coin(rng) else 0.0
    contrast = rng.uniform(*FACTORS) if _coin(rng) else 1.0
    contrast_first = _coin(rng)
    saturation = rng.uniform(*FACTORS) if _coin(rng) else 1.0
    hue = rng.uniform(-HUE, HUE) if renames and _coin(rng) else 0.0
    channels = tuple(rng.permutation(3).tolist()) if renames and _coin(rng) else None
    return ColourChange(
        before=_table(brightness, contrast if contrast_first else 1.0),
        hsv=_hsv_tables(hue, saturation),
        after=None if contrast_first else _table(0.0, contrast),
        channels=channels,
    )


def _coin(rng: np.random.Generator) -> bool:
    return rng.random() < PROBABILITY


def _table(offset: float, factor: float) -> np.ndarray | None:
    """(level + offset) · factor, rounded and clipped."""
    if offset == 0.0 and factor == 1.0:
        return None
    return _levels((LEVELS + offset) * factor)


def _hsv_tables(hue: float, saturation: float) -> np.ndarray | None:
    """Hue turned by degrees, saturation scaled, value kept."""
    if hue == 0.0 and saturation == 1.0:
        return None
    turned = (LEVELS + round(hue * 256 / 360)) % 256  # hue is an angle: here alone wrapping is right
    return np.stack([_levels(turned), _levels(LEVELS * saturation), _levels(LEVELS)], axis=-1)[None]


def _levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
