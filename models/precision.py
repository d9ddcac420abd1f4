"""Where half precision would lose the object: coordinates are at least float32."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Half types become float32; float32 and float64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
