"""Two linear layers with a ReLU between, of many tokens: trained in fewer passes, and with less that is kept.

R rows (tokens), C width, H hidden width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .ops.functions import fastest_products
from .ops.functions.drop import dropped, new_seed

FEWEST_ROWS = 1024  # for which packing the weights pays


def feedforward(tokens: Tensor, first: nn.Linear, second: nn.Linear, dropout: nn.Dropout) -> Tensor:
    """second(dropout(relu(first(tokens)))), [..., C] → the same; under autocast in its type.

    For the backward pass, only the tokens and what goes into `second` are kept: where that is zero, the ReLU or the
    dropout stopped it. There are no gradients of gradients. Compilers are shown the plain steps.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return plain_feedforward(tokens, first, second, dropout)
    device = tokens.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tokens.dtype
    share = dropout.p if dropout.training else 0.0
    parameters = (first.weight, first.bias, second.weight, second.bias)
    with torch.autocast(device, enabled=False):
        rows, *cast = (tensor.to(dtype) for tensor in (tokens.flatten(0, -2), *parameters))
        return _FeedForward.apply(share, rows, *cast).view_as(tokens)


def plain_feedforward(tokens: Tensor, first: nn.Linear, second: nn.Linear, dropout: nn.Dropout) -> Tensor:
    """The same, step by step."""
    return second(dropout(F.relu(first(tokens))))


class _FeedForward(torch.autograd.Function):
    """Rows [R, C] → [R, C]. The dropout's scale is part of the second weights."""

    @staticmethod
    def forward(ctx: Any, share: float, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        ctx.scale = 1 / (1 - share) if share < 1 else 0.0
        hidden = _dropped(_linear(x, w1, b1), share) if share else _linear(x, w1, b1, relu=True)
        ctx.save_for_backward(x, hidden, w1, w2)
        return _linear(hidden, w2 * ctx.scale, b2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, w1, w2 = ctx.saved_tensors
        of_w2 = gradient.t() @ hidden * ctx.scale
        of_hidden = _linear(gradient, w2.t() * ctx.scale)
        torch.ops.aten.threshold_backward.grad_input(of_hidden, hidden, 0, grad_input=of_hidden)
        of_x = _linear(of_hidden, w1.t())
        return None, of_x, of_hidden.t() @ x, of_hidden.sum(0), of_w2, gradient.sum(0)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    exact = x.device.type == "cpu" and x.dtype == torch.float32
    if exact and len(x) >= FEWEST_ROWS and fastest_products.available(terms=2):
        return fastest_products.product(x, fastest_products.packed(weight, bias), relu=relu)
    y = F.linear(x, weight, bias)
    return y.relu_() if relu else y


def _dropped(x: Tensor, share: float) -> Tensor:
    """ReLU of x [R, H], and a random share of zeros, in place."""
    if x.device.type != "cpu":
        return x.relu_().mul_(torch.rand_like(x, dtype=torch.float32) >= share)
    return dropped(x, share, new_seed(), relu=True, in_place=True)
