"""Where half precision would lose the object: coordinates and sums are at least float32."""

import torch
from torch import Tensor


def exact_type(dtype: torch.dtype) -> torch.dtype:
    """float32 for the half types; float32 and float64 are themselves.

    torch.promote_types says the same, but stays as an operation in what torch.export traces.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def at_least_float32(x: Tensor) -> Tensor:
    """Half types become float32; float32 and float64 stay."""
    return x.to(exact_type(x.dtype))
