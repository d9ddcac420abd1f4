"""Dropout whose draws follow from a seed and from each element's place, the same on every CPU and with any threads.

So a backward pass keeps a number instead of a mask. A number of 64 bits decides on four elements: the library of the
operator draws and drops in one pass (src/cpu/drop_kernel.h), without it PyTorch does, in more. There are no gradients.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from .back_ends import compiled, library_file

_TYPE_CODES = {torch.float32: 0, torch.bfloat16: 2}  # src/problem.h
_DRAWS = 1 << 16  # equally likely ones
_PART = 1 << 20  # elements that PyTorch draws for at once: what is drawn stays in the cache
_STEP, _FACTORS, _SHIFTS = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB), (30, 27, 31)


class _Drop(ctypes.Structure):
    """`Drop` of src/cpu/drop.h."""

    _fields_ = (
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("type", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("limit", ctypes.c_int64),
        ("scale", ctypes.c_float),
        ("relu", ctypes.c_int32),
    )


def new_seed() -> int:
    """A seed that follows from PyTorch's own: 63 bits."""
    return int(torch.randint(2**63 - 1, ()))


def dropped(
    x: Tensor, share: float, seed: int, *, scale: float = 1.0, relu: bool = False, in_place: bool = False
) -> Tensor:
    """x [...] on the CPU, contiguous, with a share of zeros, and scaled elsewhere; relu: whether a ReLU comes first.

    Raises ValueError for a tensor that is not such.
    """
    if x.device.type != "cpu" or not x.is_contiguous():
        raise ValueError(f"dropped: not a contiguous tensor on the CPU, but one on {x.device} of strides {x.stride()}")
    limit = min(round(share * _DRAWS), _DRAWS - 1) - _DRAWS // 2
    library = _library()
    if library is None or x.dtype not in _TYPE_CODES:
        return _dropped_by_pytorch(x if in_place else x.clone(), limit, seed, scale=scale, relu=relu)
    output = x if in_place else torch.empty_like(x)
    sizes = {"count": x.numel(), "type": _TYPE_CODES[x.dtype]}
    call = _Drop(x.data_ptr(), output.data_ptr(), **sizes, seed=seed, limit=limit, scale=scale, relu=relu)
    library.tf2_drop(ctypes.byref(call), torch.get_num_threads())
    return output


@cache
def _library() -> ctypes.CDLL | None:
    return None if compiled("cpu") is None else ctypes.CDLL(str(library_file("cpu")))


def _dropped_by_pytorch(x: Tensor, limit: int, seed: int, *, scale: float, relu: bool) -> Tensor:
    """In place."""
    if relu:
        x.relu_()
    for number, part in enumerate(x.view(-1).split(_PART)):
        draws = _draws(seed, number * (_PART // 4), -(-part.numel() // 4))
        part.masked_fill_(draws[: part.numel()] < limit, 0)
    return x.mul_(scale) if scale != 1 else x


def _draws(seed: int, first: int, count: int) -> Tensor:
    """Numbers `first` to `first + count`, four draws each: [4·count] int16."""
    x = torch.arange(first + 1, first + count + 1)
    x.mul_(_signed(_STEP)).add_(_signed(seed))
    for shift, factor in zip(_SHIFTS, (*_FACTORS, 1), strict=True):
        high = x.bitwise_right_shift(shift).bitwise_and_((1 << (64 - shift)) - 1)  # shifted as an unsigned number is
        x.bitwise_xor_(high).mul_(_signed(factor))
    return x.view(torch.int16)


def _signed(number: int) -> int:
    """What 64 bits stand for in int64."""
    return number - 2**64 if number >= 2**63 else number
