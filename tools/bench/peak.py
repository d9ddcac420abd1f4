"""How fast this machine multiplies matrices, as what programs reach is a share of that."""

from functools import partial

import torch
import torch.nn.functional as F

from .operator import milliseconds

SIDE = 2048


def matrix_peaks() -> dict[str, float]:
    """GFLOP/s of a large product with the threads that are set: float32 by matmul and by 1×1 convolution, bfloat16.

    PyTorch's two float32 ways differ on some processors; the faster one is the float32 peak.
    """
    square = torch.randn(SIDE, SIDE)
    image, kernel = square.view(1, SIDE, 1, SIDE), square.view(SIDE, SIDE, 1, 1)
    half = square.bfloat16()
    runs = {
        "matmul_float32": partial(torch.mm, square, square),
        "convolution_float32": partial(F.conv2d, image, kernel),
        "matmul_bfloat16": partial(torch.mm, half, half),
    }
    with torch.no_grad():
        return {f"{name}_gflop_per_s": 2 * SIDE**3 / milliseconds(run) / 1e6 for name, run in runs.items()}


def float32_peak(peaks: dict[str, float]) -> float:
    """GFLOP/s of the faster float32 way."""
    return max(value for name, value in peaks.items() if "float32" in name)
