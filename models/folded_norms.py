"""Frozen batch norms go into the convolutions before them, whose weights then do both: the same, but for rounding."""

from collections import Counter
from collections.abc import Callable

import torch
from timm.layers import Conv2dSame, FrozenBatchNormAct2d
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
FROZEN_NORMS = (FrozenBatchNorm2d, FrozenBatchNormAct2d)


def fold_frozen_norms(network: nn.Module, run: Callable[[], object]) -> None:
    """Change `network` in place: each frozen norm that reads a convolution's output becomes its activation, or nothing.

    run: sends any input through `network`, as small as it takes; there it is seen which norm reads which convolution.
    """
    left = {}
    for conv, norm in _pairs(network, run):
        _scale(conv, norm)
        left[norm] = getattr(norm, "act", nn.Identity())
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):  # named_children() names a child once
            if child in left:
                setattr(parent, name, left[child])


def _pairs(network: nn.Module, run: Callable[[], object]) -> list[tuple[nn.Conv2d, nn.Module]]:
    """(convolution, norm) where every output of the one goes into the other, and nothing else does."""
    outputs: dict[int, tuple[Tensor, int, nn.Module]] = {}  # with what keeps the tensors, and thus the ids, alive
    calls, reads = Counter(), Counter()

    def note_output(conv: nn.Module, _: tuple, output: Tensor) -> None:
        outputs[id(output)] = (output, output._version, conv)
        calls[conv] += 1

    def note_input(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        tensor, version, conv = outputs.get(id(inputs[0]), (inputs[0], None, None))
        calls[norm] += 1
        if tensor._version == version:  # nothing has changed it in place
            reads[conv, norm] += 1

    hooks = [m.register_forward_hook(note_output) for m in network.modules() if type(m) in CONVOLUTIONS]
    hooks += [m.register_forward_pre_hook(note_input) for m in network.modules() if type(m) in FROZEN_NORMS]
    try:
        with torch.inference_mode(False), torch.no_grad():  # in that mode, tensors have no versions
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair, count in reads.items() if all(calls[module] == count for module in pair)]


@torch.no_grad()
def _scale(conv: nn.Conv2d, norm: nn.Module) -> None:
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    bias = 0.0 if conv.bias is None else conv.bias.double()
    bias = norm.bias.double() + (bias - norm.running_mean.double()) * scale
    conv.weight.copy_(conv.weight.double() * scale[:, None, None, None])
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
