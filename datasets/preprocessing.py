"""From an RGB image to the network's input (spec §3, size rule and normalisation; §4, Inference)."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from util.errors import InputError

MEAN = (0.485, 0.456, 0.406)  # of ImageNet
STD = (0.229, 0.224, 0.225)
INFERENCE_SHORT_SIDE = 360
MOST_PIXELS_SEEN = 1 << 24  # of a frame as the network sees it: the long side of a thin one has no other bound
# What each level of each channel becomes, [3, 256]: looking it up takes a quarter of the time of computing it.
_NORMALISED = ((torch.arange(256) / 255 - torch.tensor(MEAN)[:, None]) / torch.tensor(STD)[:, None]).numpy()


def resized_size(size: tuple[int, int], short: int, longest: int | None = None) -> tuple[int, int]:
    """(height, width) after bringing the short side to `short`, the long one to at most `longest` (spec §3)."""
    small, large = min(size), max(size)
    if longest is not None and large / small * short > longest:
        short = round(longest * small / large)
    long = int(short * large / small)
    return (short, long) if size[0] <= size[1] else (long, short)


def normalise(image: np.ndarray | Image.Image) -> Tensor:
    """RGB uint8 [H, W, 3] → float32 [3, H, W] with ImageNet's mean and deviation."""
    planes = cv2.split(np.asarray(image))
    result = torch.empty(3, *planes[0].shape)
    normalise_planes(planes, result)
    return result


def normalise_planes(planes: Sequence[np.ndarray], out: Tensor) -> None:
    """The same from red, green and blue apart, uint8 [H, W] each, into `out`, float32 [3, H, W]."""
    for plane, table, target in zip(planes, _NORMALISED, out.numpy(), strict=True):
        cv2.LUT(plane, table, dst=target)


def resize_as_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """RGB uint8 [H, W, 3] → [h, w, 3]: bilinear with antialiasing, to the bit as all networks here are evaluated."""
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def inference_frame(image: np.ndarray, short_side: int = INFERENCE_SHORT_SIDE) -> Tensor:
    """RGB uint8 [H, W, 3] → float32 [3, h, w], the short side 360, bilinear with antialiasing, normalised, unpadded.

    Raises InputError where that has more than MOST_PIXELS_SEEN.
    """
    height, width = resized_size(image.shape[:2], short_side)
    if height * width > MOST_PIXELS_SEEN:
        raise InputError(
            f"frames of {image.shape[1]}×{image.shape[0]} pixels become {width}×{height} for the network, which takes "
            f"at most {MOST_PIXELS_SEEN:,} pixels: cut or pad them to a less narrow shape, or lower --short_side"
        )
    return normalise(resize_as_pillow(image, (height, width)))
