"""Work over videos in one process, in several started here (`--ngpu`), or in those of torchrun."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from multiprocessing import active_children, get_context, parent_process
from typing import Protocol, TypeVar

import torch
import torch.distributed as dist

from util.distributed import ended_peers_explained
from util.errors import InputError
from util.interrupts import deaf_children

FOREVER = timedelta(days=30)  # the slowest process may be hours behind the first
Item = TypeVar("Item")


class Work(Protocol[Item]):
    """What a process does with its share; it must be picklable. Returns what went wrong, a line each."""

    def __call__(self, items: Sequence[Item], local_rank: int, *, progress: bool) -> list[str]: ...


def run_sharded(
    work: Work[Item], items: Sequence[Item], cost: Callable[[Item], float], processes: int | None
) -> list[str] | None:
    """Share `items` out by cost and do them all; returns what went wrong.

    processes: how many to start; None: one a GPU, one where there is none. Under torchrun its processes are used, and
    every process but the first gets None. Raises InputError where a process was killed.
    """
    if "WORLD_SIZE" in os.environ:
        return _run_under_torchrun(work, items, cost)
    processes = min(_available(processes), max(len(items), 1))
    if processes == 1:
        return work(items, 0, progress=True)
    threads = max(torch.get_num_threads() // processes, 1)
    shares = [share(items, cost, rank, processes) for rank in range(processes)]
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (threads,)) as pool:
        with deaf_children():
            jobs = [pool.submit(work, part, rank, progress=rank == 0) for rank, part in enumerate(shares)]
        try:
            return [problem for job in jobs for problem in job.result()]
        except (KeyboardInterrupt, SystemExit):
            for child in active_children():  # else the pool would wait until they have done all
                child.kill()
            raise
        except BrokenProcessPool:
            raise InputError(
                "a process was killed, perhaps for want of memory: start again with a smaller --ngpu; "
                "finished work is kept"
            ) from None


def _start(threads: int) -> None:
    """In a process of its own: it must not outlive the one that started it, and write beside that one's successor."""
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _available(wanted: int | None) -> int:
    gpus = torch.cuda.device_count()
    if wanted is None:
        return max(gpus, 1)
    if wanted < 1:
        raise InputError(f"--ngpu {wanted}: at least one process is needed")
    return min(wanted, gpus) if gpus else wanted


def _run_under_torchrun(work: Work[Item], items: Sequence[Item], cost: Callable[[Item], float]) -> list[str] | None:
    dist.init_process_group("gloo", timeout=FOREVER)
    try:
        with ended_peers_explained():
            return _do_share(work, items, cost)
    finally:
        dist.destroy_process_group()


def _do_share(work: Work[Item], items: Sequence[Item], cost: Callable[[Item], float]) -> list[str] | None:
    rank, world = dist.get_rank(), dist.get_world_size()
    agreed = [list(items)]
    dist.broadcast_object_list(agreed)  # the first one's: who starts late finds work finished
    problems = work(share(agreed[0], cost, rank, world), int(os.environ["LOCAL_RANK"]), progress=rank == 0)
    everyone: list[list[str]] = [[] for _ in range(world)]
    dist.all_gather_object(everyone, problems)
    return [problem for part in everyone for problem in part] if rank == 0 else None


def share(items: Sequence[Item], cost: Callable[[Item], float], rank: int, processes: int) -> list[Item]:
    """This process's items: dealt out from the costliest to the cheapest, so that shares cost about the same."""
    return sorted(items, key=cost, reverse=True)[rank::processes]
