"""Multi-scale deformable attention: the compiled operator against plain PyTorch, in turn, on this machine's CPU.

A 360×640 frame's levels, each token a query, 8 heads of 32 channels, 4 points; 2 threads. Once with random locations
and once with locations near their query, as the network has them.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from models.ops.functions import ms_deform_attn
from models.ops.functions.back_ends import compiled
from models.ops.functions.ms_deform_attn_plain import ms_deform_attn as plain
from util.errors import InputError

SHAPES = ((45, 80), (23, 40), (12, 20), (6, 10))
TOKENS = sum(height * width for height, width in SHAPES)
HEADS, CHANNELS, POINTS, THREADS = 8, 32, 4, 2
NEAR = 2.0  # standard deviation of "near", in pixels of the sampled level

LOCATIONS = {"random": False, "near": True}

Inputs = list[Tensor]  # value, locations, weights


def measure(args: Namespace) -> dict[str, Any]:
    """Times in ms (medians over `args.rounds`), and ratios (medians of the rounds' ratios) plain / compiled.

    Raises InputError where there is no compiled operator.
    """
    torch.set_num_threads(THREADS)
    if not compiled("cpu"):
        raise InputError("no compiled operator for the CPU: pip install . builds it, and says why it cannot")
    copy = copy_bandwidth()
    figures = {name: figures_of(make_inputs(near), args.rounds, copy) for name, near in LOCATIONS.items()}
    about = {"threads": THREADS, "kernels": compiled("cpu").kernels(), "copy_gb_per_s": copy}
    return {"what": "operator", "rounds": args.rounds, **about, **figures}


def make_inputs(near: bool) -> Inputs:
    """float32 inputs of one image, the same each time."""
    torch.manual_seed(0)
    locations = torch.rand(1, TOKENS, HEADS, len(SHAPES), POINTS, 2)
    if near:
        offsets = torch.randn(locations.shape) * NEAR / torch.tensor([(w, h) for h, w in SHAPES])[:, None]
        locations = _centres()[:, :, None, None, None] + offsets
    weights = torch.randn(1, TOKENS, HEADS, len(SHAPES) * POINTS).softmax(-1)
    return [torch.randn(1, TOKENS, HEADS, CHANNELS), locations, weights.view(locations.shape[:-1])]


def _centres() -> Tensor:
    """Each token's place, (x, y) in [0, 1]: [1, S, 2]."""
    rows = [torch.cartesian_prod((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w) for h, w in SHAPES]
    return torch.cat(rows).flip(-1)[None]


def figures_of(inputs: Inputs, rounds: int, copy: float) -> dict[str, float]:
    """Times, ratios and errors for one kind of locations."""
    half = [tensor.bfloat16() for tensor in inputs]
    runs = {
        "plain_forward": partial(forward, plain, inputs),
        "forward": partial(forward, ms_deform_attn, inputs),
        "bf16_forward": partial(forward, ms_deform_attn, half),
        "plain_both": partial(forward_and_backward, plain, inputs),
        "both": partial(forward_and_backward, ms_deform_attn, inputs),
    }
    times = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(milliseconds(run))
    # Each tensor once; the output is as large as the value.
    moved = sum(tensor.nbytes for tensor in inputs) + inputs[0].nbytes
    return {
        **{f"{name}_ms": median(values) for name, values in times.items()},
        "forward_ratio": ratio(times["plain_forward"], times["forward"]),
        "both_ratio": ratio(times["plain_both"], times["both"]),
        "bf16_ratio": ratio(times["forward"], times["bf16_forward"]),
        "forward_mb_moved": moved / 1e6,
        "forward_gb_per_s": moved / median(times["forward"]) / 1e6,
        "forward_share_of_copy": moved / median(times["forward"]) / 1e6 / copy,
        **errors(inputs),
    }


def forward(function: Callable, inputs: Inputs) -> Tensor:
    """The output alone."""
    with torch.no_grad():
        return function(inputs[0], SHAPES, *inputs[1:])


def forward_and_backward(function: Callable, inputs: Inputs) -> list[Tensor]:
    """Output and the gradients of all inputs."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    output = function(leaves[0], SHAPES, *leaves[1:])
    return [output.detach(), *torch.autograd.grad(output, leaves, torch.ones_like(output))]


def milliseconds(run: Callable, repeats: int = 3) -> float:
    """Time of the quickest of a few runs: what disturbs one is not the operator."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def ratio(slow: list[float], fast: list[float]) -> float:
    """Median of the rounds' ratios: both of a round meet the same load of the machine."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def errors(inputs: Inputs) -> dict[str, float]:
    """Relative errors (norms) of the compiled float32 results against plain PyTorch in float64."""
    inputs = [inputs[0], between_pixels(inputs[1]), inputs[2]]
    exact = forward_and_backward(plain, [tensor.double() for tensor in inputs])
    ours = forward_and_backward(ms_deform_attn, inputs)
    worst = [((a.double() - b).norm() / b.norm()).item() for a, b in zip(ours, exact, strict=True)]
    return {"forward_error": worst[0], "gradient_error": max(worst[1:])}


def between_pixels(locations: Tensor) -> Tensor:
    """The same, but no nearer than a hundredth to a pixel's centre: there, gradients jump, and rounding decides."""
    sizes = torch.tensor([(width, height) for height, width in SHAPES])[:, None]
    pixels = locations * sizes - 0.5
    return (pixels.floor() + pixels.frac().remainder(1).clamp(0.01, 0.99) + 0.5) / sizes


def copy_bandwidth(megabytes: int = 256) -> float:
    """GB/s that a copy of a large tensor reads and writes, with the same threads."""
    source = torch.ones(megabytes * 2**18)
    target = torch.empty_like(source)
    fastest = min(milliseconds(partial(target.copy_, source)) for _ in range(3))
    return 2 * source.nbytes / fastest / 1e6
