"""What products.py computes, in oneDNN by way of PyTorch, for x86 CPUs without AMX.

PyTorch gives a float32 `linear` to MKL, which many processors run more slowly than oneDNN's convolution by 1×1 kernels.
Rows go through in parts, so that what lies between two layers stays in the cache. There are no gradients.
N images, C channels in, O out.
"""

import platform
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]  # vertical, horizontal

ROWS = 1024  # of a part
FEWEST_ROWS = 64  # for which a convolution is the faster one
TYPES = {2: torch.float32, 1: torch.bfloat16}  # by terms, as products.py counts them: 2 is exact


@dataclass(frozen=True)
class OrderedLayer:
    """Weights [O, C, kh, kw], channels last, and bias [O] or None, of a type in `TYPES`."""

    weight: Tensor
    bias: Tensor | None


@cache
def available(terms: int = 2) -> bool:
    """Whether this is faster here than PyTorch's own way: oneDNN on x86; with one term, bfloat16 in the processor."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    if not (x86 and torch.backends.mkldnn.is_available()):
        return False
    return terms == 2 or getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()


def ordered(weight: Tensor, bias: Tensor | None = None, terms: int = 2) -> OrderedLayer:
    """A layer of weights [O, C, kh, kw] or [O, C] and bias [O], copied."""
    weight = weight.detach().reshape(*weight.shape, *(1,) * (4 - weight.dim()))
    bias = None if bias is None else bias.detach().to(TYPES[terms], copy=True)
    return OrderedLayer(weight.to(TYPES[terms], memory_format=torch.channels_last, copy=True), bias)


def convolve(
    x: Tensor,
    layer: OrderedLayer,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    added: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """As products.convolve."""
    x = x.to(layer.weight.dtype, memory_format=torch.channels_last)
    y = F.conv2d(x, layer.weight, layer.bias, stride, padding, dilation)
    return _finished(y, added, relu=relu)


def product(
    x: Tensor,
    layer: OrderedLayer,
    *,
    then: OrderedLayer | None = None,
    added: Tensor | None = None,
    relu: bool = False,
    norm: nn.LayerNorm | None = None,
    softmax: int = 0,
    gelu: bool = False,
    into: Tensor | None = None,
) -> Tensor:
    """As products.product."""
    last = layer if then is None else then
    output = x.new_empty(*x.shape[:-1], len(last.weight)) if into is None else into
    rows, sums = x.reshape(-1, x.shape[-1]), None if added is None else added.reshape(-1, output.shape[-1])
    for part in (slice(start, start + ROWS) for start in range(0, len(rows), ROWS)):
        y = linear(rows[part], layer)
        y = y if then is None else linear(_between(y, softmax, gelu=gelu), then)
        y = _finished(y, None if sums is None else sums[part], relu=relu)
        output.view(-1, output.shape[-1])[part] = y if norm is None else norm(y)
    return output


def linear(rows: Tensor, layer: OrderedLayer) -> Tensor:
    """Rows [R, C] → [R, O], of the layer's type."""
    weight, bias = layer.weight, layer.bias
    rows = rows.to(weight.dtype)
    if weight.dtype != torch.float32 or len(rows) < FEWEST_ROWS:
        return F.linear(rows, weight[:, :, 0, 0], bias)
    line = rows.contiguous()[None, None].permute(0, 3, 1, 2)
    return F.conv2d(line, weight, bias).permute(0, 2, 3, 1)[0, 0]


def _between(y: Tensor, softmax: int, *, gelu: bool) -> Tensor:
    if softmax:
        return y.float().unflatten(-1, (-1, softmax)).softmax(-1).flatten(-2)
    return F.gelu(y) if gelu else y.relu_()


def _finished(y: Tensor, added: Tensor | None, *, relu: bool) -> Tensor:
    """With the sum and the ReLU that come last, in float32."""
    y = y.float()
    y = y if added is None else y.add_(added)
    return y.relu_() if relu else y
