"""How much memory a piece of work needs: a process that does nothing else tells its peak."""

import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

PEAK = "VmHWM:"  # in /proc/self/status, KiB


def peak_gib(work: Callable[..., object], *arguments: object) -> float:
    """Peak resident memory, GiB, of a fresh process that calls `work(*arguments)`, both of which can be pickled."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(peak_after, torch.get_num_threads(), work, *arguments).result()


def peak_after(threads: int, work: Callable[..., object], *arguments: object) -> float:
    """This process's peak so far, GiB, once the work is done."""
    torch.set_num_threads(threads)
    work(*arguments)
    if sys.platform == "linux":  # where getrusage also counts the program that started this one
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(PEAK)) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30
