"""One process or several: the same code runs in both."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from util.errors import InputError

# How the back ends say that they cannot reach another process.
BROKEN = re.compile(r"gloo|nccl|connection (was )?(closed|reset|refused)|recv.*failed|broken pipe", re.IGNORECASE)


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined_processes(device: str) -> Iterator[None]:
    """Join the other processes of torchrun for as long as the block runs; nothing to do for one process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(minutes=30))
    try:
        with ended_peers_explained():
            yield
    finally:
        dist.destroy_process_group()


@contextmanager
def ended_peers_explained() -> Iterator[None]:
    """Raises InputError where the block waits for a process that has ended."""
    try:
        yield
    except RuntimeError as error:
        if not BROKEN.search(str(error)):
            raise
        raise InputError(
            f"process {rank()} stops because another one has ended: that one's own words, or the system's log of "
            "killed processes, say why; finished work is kept, the same command goes on from there"
        ) from error


def mean_over_workers(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; every process must call it."""
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / world_size()


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """`auto` is the best device that is there; a bare `cuda` is this process's own.

    Raises InputError for a device that PyTorch does not know, or that is not there.
    """
    gpus, apple = torch.cuda.device_count(), torch.backends.mps.is_available()
    chosen = name if name != "auto" else "cuda" if gpus else "mps" if apple else "cpu"
    try:
        device = torch.device(f"cuda:{local_rank}" if chosen == "cuda" else chosen)
    except RuntimeError:
        raise InputError(f"--device {name}: no such device; auto, cpu, cuda, cuda:1 or mps") from None
    there = {"cuda": (device.index or 0) < gpus, "mps": apple}
    if not there.get(device.type, True):
        raise InputError(
            f"--device {name}: PyTorch {torch.__version__} finds none here; leave it out for what there is"
        )
    return device
