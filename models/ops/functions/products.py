"""Products of float32 matrices at the rate of bfloat16 ones, for inference on CPUs that have AMX.

A float32 number is the sum of two bfloat16 ones to 16 bits, a = a1 + a2, so that a·b ≈ a1·b1 + a1·b2 + a2·b1, summed in
float32: the relative error of a result is some 3e-6 (norms), against 3e-7 of plain PyTorch (Henry, Tang and Heinecke,
"Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019). With one term, a
alone rounded to a1, a product is a third of the work, and the error some 3e-3.

NaN gives NaN. Infinity, and numbers beyond 3.38e38, may give NaN too. There are no gradients.
N images, C channels in, O out.
"""

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .back_ends import compiled, library_file

Pair = tuple[int, int]  # vertical, horizontal

SOFTMAX_WIDTHS = (16, 32)
_PAIRS = ("in_size", "out_size", "kernel", "stride", "padding", "dilation")
_TOLERANCES = {2: 1e-4, 1: 1e-2}  # terms → relative error of a check


class _Product(ctypes.Structure):
    """`Product` of src/cpu/product.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "in_channels", "out_channels", "relu")),
        *((name, ctypes.c_int64 * 2) for name in _PAIRS),
        *((name, ctypes.c_void_p) for name in ("input", "weights", "bias", "added", "output")),
        ("middle_channels", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("middle_weights", "middle_bias", "norm_weight", "norm_bias")),
        ("norm_epsilon", ctypes.c_double),
        ("terms", ctypes.c_int64),
        ("between", ctypes.c_int64),
    )


@dataclass(frozen=True)
class PackedLayer:
    """A convolution's or linear layer's weights, laid out for the library.

    weights  what `packed` made
    shape    (O, C, kernel height, kernel width)
    bias     [O], or None
    terms    bfloat16 numbers that stand for a float32 one: 2, or 1
    """

    weights: Tensor
    shape: tuple[int, int, int, int]
    bias: Tensor | None
    terms: int


@cache
def available() -> bool:
    """Whether there are products here: a library, a CPU with AMX, and right results; with TF2_OPS=plain there are none.

    Prints one warning where the results are wrong.
    """
    if _library() is None:
        return False
    with ThreadPoolExecutor(1) as thread:  # where the modes that the caller is in are not in force
        errors = {terms: thread.submit(_error, terms).result() for terms in _TOLERANCES}
    wrong = [error for terms, error in errors.items() if not error <= _TOLERANCES[terms]]
    if wrong:
        print(f"warning: AMX not used: its products differ from plain PyTorch by {wrong[0]:.1e}", file=sys.stderr)
    return not wrong


def packed(weight: Tensor, bias: Tensor | None = None, terms: int = 2) -> PackedLayer:
    """A layer of weights [O, C, kh, kw] or [O, C] and bias [O], copied; terms: 2 or 1. Raises as `convolve` does."""
    weight = weight.detach().reshape(*weight.shape, *(1,) * (4 - weight.dim()))
    bias = None if bias is None else bias.detach().clone()
    _refuse(weight, bias)
    if terms not in _TOLERANCES:
        raise ValueError(f"{terms} terms: known are 2 and 1")
    if 0 in weight.shape or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError(f"weights {tuple(weight.shape)} are empty, or do not fit their bias")
    outputs, channels, *kernel = weight.shape
    problem = _Product(in_channels=channels, out_channels=outputs, kernel=tuple(kernel), terms=terms)
    library = _needed_library()
    weights = torch.empty(library.tf2_packed_weights(ctypes.byref(problem)), dtype=torch.int16)
    ordered = weight.permute(0, 2, 3, 1).contiguous()
    library.tf2_pack_weights(ctypes.byref(problem), ordered.data_ptr(), weights.data_ptr())
    return PackedLayer(weights, tuple(weight.shape), bias, terms)


def convolve(
    x: Tensor,
    layer: PackedLayer,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    added: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Convolution of x [N, C, H, W], zeros around it → [N, O, h, w], channels last.

    added: [N, O, h, w], to the result; relu: whether a ReLU comes last.

    Raises ValueError for shapes that do not fit, TypeError for what is not float32 on the CPU, RuntimeError where a
    gradient would be needed or products are not available.
    """
    steps = zip(x.shape[2:], layer.shape[2:], stride, padding, dilation, strict=True)
    size = tuple((length + 2 * p - d * (k - 1) - 1) // s + 1 for length, k, s, p, d in steps)
    if x.shape[1] != layer.shape[1] or min(size) < 1:
        raise ValueError(f"x {tuple(x.shape)} does not fit weights {layer.shape}")
    output = torch.empty((len(x), layer.shape[0], *size), memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    added = None if added is None else added.contiguous(memory_format=torch.channels_last)
    sizes = {"images": len(x), "in_size": tuple(x.shape[2:]), "out_size": size}
    _run(x, (layer,), added, output, relu=relu, stride=stride, padding=padding, dilation=dilation, **sizes)
    return output


def product(
    x: Tensor,
    layer: PackedLayer,
    *,
    then: PackedLayer | None = None,
    added: Tensor | None = None,
    relu: bool = False,
    norm: nn.LayerNorm | None = None,
    softmax: int = 0,
    gelu: bool = False,
    into: Tensor | None = None,
) -> Tensor:
    """A linear layer, or `then` another one after a ReLU: x [..., C] → [..., O].

    added    [..., O], to the result
    relu     whether a ReLU comes last
    norm     over the last axis, after all that
    softmax  16 or 32: between the two layers, over so many channels at a time, instead of the ReLU
    gelu     whether it is a GELU
    into     the result's memory, where there is some already

    Raises as `convolve` does.
    """
    layers = (layer,) if then is None else (layer, then)
    width = x.shape[-1]
    for one in layers:
        if one.terms != layer.terms:
            raise ValueError("layers in a row need the same number of terms")
        if one.shape[1:] != (width, 1, 1):
            raise ValueError(f"{width} channels do not fit weights {one.shape}")
        width = one.shape[0]
    if (softmax or gelu) and then is None:
        raise ValueError("there is nothing between one layer and no other")
    if softmax and (softmax not in SOFTMAX_WIDTHS or gelu or layer.shape[0] % softmax):
        raise ValueError(f"no softmax over {softmax} channels at a time between these layers")
    output = torch.empty(*x.shape[:-1], width) if into is None else into
    if output.shape != (*x.shape[:-1], width) or not output.is_contiguous():
        raise ValueError(f"the result does not fit memory of {tuple(output.shape)}")
    added = None if added is None else added.contiguous()
    line = (1, x.numel() // x.shape[-1])
    steps = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "between": softmax or int(gelu)} | _norm_fields(
        norm, width
    )
    _run(x.contiguous(), layers, added, output, relu=relu, images=1, in_size=line, out_size=line, **steps)
    return output


def _run(x: Tensor, layers: tuple[PackedLayer, ...], added: Tensor | None, output: Tensor, **fields: Any) -> None:
    """Fill `output`; all tensors lie in memory as the library reads them."""
    _refuse(x, added, output)
    if added is not None and added.shape != output.shape:
        raise ValueError(f"added {tuple(added.shape)} does not fit the result {tuple(output.shape)}")
    if not output.numel():
        return
    (middle, channels, *kernel), last = layers[0].shape, layers[-1]
    fields |= {"in_channels": channels, "out_channels": last.shape[0], "kernel": tuple(kernel), "terms": last.terms}
    tensors = {"input": x, "weights": last.weights, "bias": last.bias, "added": added, "output": output}
    if len(layers) > 1:
        fields["middle_channels"] = middle
        tensors |= {"middle_weights": layers[0].weights, "middle_bias": layers[0].bias}
    problem = _Product(**fields, **{name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None})
    if _needed_library().tf2_product(ctypes.byref(problem), torch.get_num_threads()):
        raise MemoryError("product: no memory for a task's pixels")


def _norm_fields(norm: nn.LayerNorm | None, width: int) -> dict[str, Any]:
    if norm is None:
        return {}
    if norm.normalized_shape != (width,) or norm.weight is None or norm.bias is None:
        raise ValueError(f"{norm} is not an affine norm, with a bias, of {width} channels")
    _refuse(norm.weight, norm.bias)
    weight, bias = norm.weight.data_ptr(), norm.bias.data_ptr()
    return {"norm_weight": weight, "norm_bias": bias, "norm_epsilon": norm.eps}


def _refuse(*tensors: Tensor | None) -> None:
    """Raises for tensors that the library cannot take."""
    for tensor in tensors:
        if tensor is None:
            continue
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise TypeError(f"products are of float32 on the CPU, not of {tensor.dtype} on {tensor.device}")
        if tensor.requires_grad and torch.is_grad_enabled():
            raise RuntimeError("products have no gradients: use torch.inference_mode()")


def _needed_library() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("products are not available here")
    return library


@cache
def _library() -> ctypes.CDLL | None:
    """The library, of which the other back end's checks hold too; None where it has no products."""
    if compiled("cpu") is None:
        return None
    library = ctypes.CDLL(str(library_file("cpu")))
    library.tf2_packed_weights.restype = ctypes.c_int64
    library.tf2_pack_weights.argtypes = (ctypes.POINTER(_Product), ctypes.c_void_p, ctypes.c_void_p)
    return library if library.tf2_product_available() else None


def _error(terms: int) -> float:
    """Relative error (norms) of a small convolution of odd sizes; no draw, so that nobody's random state moves."""
    x, weight = (
        torch.linspace(-9, 9, torch.Size(shape).numel()).sin().view(shape) for shape in ((2, 35, 7, 5), (37, 35, 3, 3))
    )
    exact = F.conv2d(x.double(), weight.double(), stride=2, padding=1).relu()
    ours = convolve(x, packed(weight, terms=terms), stride=(2, 2), padding=(1, 1), relu=True)
    return ((ours - exact).norm() / exact.norm()).item()
