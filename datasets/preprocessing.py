"""From an RGB image to the network's input (spec §3, size rule and normalisation; §4, Inference)."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet
STD = (0.229, 0.224, 0.225)
INFERENCE_SHORT_SIDE = 360


def resized_size(size: tuple[int, int], short: int, longest: int | None = None) -> tuple[int, int]:
    """(height, width) after bringing the short side to `short`, the long one to at most `longest` (spec §3)."""
    small, large = min(size), max(size)
    if longest is not None and large / small * short > longest:
        short = round(longest * small / large)
    long = int(short * large / small)
    return (short, long) if size[0] <= size[1] else (long, short)


def normalise(image: np.ndarray | Image.Image) -> Tensor:
    """RGB uint8 [H, W, 3] → float32 [3, H, W] with ImageNet's mean and deviation."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) / 255
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def inference_frame(image: np.ndarray) -> Tensor:
    """RGB uint8 [H, W, 3] → float32 [3, 360, w] or [3, h, 360], bilinear with antialiasing, normalised, unpadded."""
    height, width = resized_size(image.shape[:2], INFERENCE_SHORT_SIDE)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return normalise(small)
