"""AdamW with the release's parameter groups, and its schedule (spec §3, Optimiser)."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from util.settings import OptimiserSettings


def build_optimiser(model: nn.Module, settings: OptimiserSettings, fused: bool = False) -> AdamW:
    """Groups in the released order: rest, backbone, text encoder, linear projections; weight decay on all of them."""
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in ("rest", "backbone", "text_encoder", "linear_proj")}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[group_of(name, settings)].append(parameter)
    rates = {
        "rest": settings.lr,
        "backbone": settings.lr_backbone,
        "text_encoder": settings.lr_text_encoder,
        "linear_proj": settings.lr * settings.lr_linear_proj_mult,
    }
    optimiser = AdamW(
        [{"params": parameters, "lr": rates[name], "name": name} for name, parameters in groups.items() if parameters],
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        fused=fused,
    )
    optimiser.register_load_state_dict_post_hook(_order_moments)
    return optimiser


def _order_moments(optimiser: Optimizer) -> None:
    """Let moments lie in memory as their parameters do, whichever way the checkpoint's lay.

    PyTorch's fused step goes through the memory of all of them in one order, and would mix up their elements.
    """
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def group_of(name: str, settings: OptimiserSettings) -> str:
    """A parameter's group, by substrings of its name."""
    for group, substrings in (
        ("backbone", settings.lr_backbone_names),
        ("text_encoder", settings.lr_text_encoder_names),
        ("linear_proj", settings.lr_linear_proj_names),
    ):
        if any(part in name for part in substrings):
            return group
    return "rest"


def build_schedule(optimiser: AdamW, settings: OptimiserSettings, steps_per_epoch: int, first: int = 0) -> LambdaLR:
    """A schedule that is stepped once a step; `step` drops tenfold after each epoch of `--lr_drop`.

    first: the step of the run that it begins at (`--start_epoch`).
    """
    factor = schedule_factor(settings, steps_per_epoch)
    return LambdaLR(optimiser, lambda step: factor(first + step))


def schedule_factor(settings: OptimiserSettings, steps_per_epoch: int) -> Callable[[int], float]:
    """Step → factor of all learning rates."""
    total = max(settings.epochs * steps_per_epoch, 1)

    def factor(step: int) -> float:
        warmup = min((step + 1) / settings.warmup_steps, 1) if settings.warmup_steps else 1
        if settings.lr_schedule == "cosine":
            return warmup * 0.5 * (1 + math.cos(math.pi * min(step / total, 1)))
        epoch = step // max(steps_per_epoch, 1)
        return warmup * 0.1 ** sum(epoch >= drop for drop in settings.lr_drop)

    return factor
