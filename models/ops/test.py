"""Check the operator: python models/ops/test.py

The compiled back ends that are there against plain PyTorch: forward and gradients, and gradients against finite
differences in float64. Exits 1 where a check fails.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from models.ops.functions import ms_deform_attn
from models.ops.functions.back_ends import DEVICES, compiled
from models.ops.functions.ms_deform_attn_plain import ms_deform_attn as plain

SHAPES = ((6, 4), (3, 2))
CHANNELS = (30, 32, 64, 71, 1025)
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def main() -> int:
    """Run every check of every back end; the exit code."""
    failed = 0
    for device in DEVICES:
        operator = compiled(device) if device == "cpu" or torch.cuda.is_available() else None
        print(f"{device}: {'compiled' if operator else 'no compiled back end; plain PyTorch'}")
        if device == "cuda" and not operator:
            continue
        results = [forward_and_gradients(device, dtype) for dtype in TOLERANCES]
        results += [finite_differences(device, channels) for channels in CHANNELS]
        failed += results.count(False)
    return 1 if failed else 0


def forward_and_gradients(device: str, dtype: torch.dtype) -> bool:
    """The worst relative difference from plain PyTorch in float64 on the same numbers."""
    inputs = [tensor.to(dtype) for tensor in _inputs(device, channels=32, queries=50)]
    ours, theirs = (
        _output_and_gradients(function, leaves)
        for function, leaves in ((ms_deform_attn, inputs), (plain, [tensor.double() for tensor in inputs]))
    )
    worst = max(((a - b).norm() / b.norm()).item() for a, b in zip(ours, theirs, strict=True))
    return _said(worst <= TOLERANCES[dtype], f"forward and gradients, {dtype}: relative error {worst:.1e}")


def finite_differences(device: str, channels: int) -> bool:
    """torch.autograd.gradcheck in float64; along random directions, because of the many channels."""
    leaves = tuple(tensor.requires_grad_() for tensor in _inputs(device, channels, queries=2))

    def function(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return ms_deform_attn(value, SHAPES, locations, weights)

    right = torch.autograd.gradcheck(function, leaves, fast_mode=channels > 100, raise_exception=False)
    return _said(right, f"gradients against finite differences, {channels} channels")


def _inputs(device: str, channels: int, queries: int) -> list[Tensor]:
    """Value, locations (some beyond the edges) and weights, float64: 2 heads, 2 points, the same each time."""
    generator = torch.Generator().manual_seed(3)
    tokens = sum(height * width for height, width in SHAPES)
    value = torch.rand(1, tokens, 2, channels, generator=generator, dtype=torch.float64) * 0.01
    locations = torch.rand(1, queries, 2, len(SHAPES), 2, 2, generator=generator, dtype=torch.float64) * 1.4 - 0.2
    weights = torch.rand(1, queries, 2, len(SHAPES), 2, generator=generator, dtype=torch.float64) + 1e-5
    weights /= weights.sum((-1, -2), keepdim=True)
    return [tensor.to(device) for tensor in (value, locations, weights)]


def _output_and_gradients(function, inputs: list[Tensor]) -> list[Tensor]:  # noqa: ANN001
    value, locations, weights = (tensor.clone().requires_grad_() for tensor in inputs)
    output = function(value, SHAPES, locations, weights)
    upstream = torch.linspace(-1, 1, output.numel(), dtype=torch.float64, device=output.device).view_as(output)
    gradients = torch.autograd.grad(output, (value, locations, weights), upstream.to(output.dtype))
    return [tensor.double() for tensor in (output.detach(), *gradients)]


def _said(right: bool, what: str) -> bool:
    print(f"  {'ok    ' if right else 'FAILED'}  {what}")
    return right


if __name__ == "__main__":
    sys.exit(main())
