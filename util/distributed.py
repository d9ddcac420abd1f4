"""One process or several: the same code runs in both."""

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def mean_over_workers(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; every process must call it."""
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / world_size()


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """`auto` is the best device that is there; a named one is taken as it is."""
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
        else:
            name = "cpu"
    return torch.device(name, local_rank) if name == "cuda" else torch.device(name)
