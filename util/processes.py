"""`map` over several processes: in order, interruptible, and without the threads of the process that calls."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import cv2

from util.errors import InputError


@contextmanager
def process_map(workers: int, module: str) -> Iterator[Callable]:
    """A `map` that keeps the order; one worker is this process. Functions and items must be picklable.

    `module` has the functions: it is imported once for all processes, those of later maps too.

    Raises InputError where a process was killed.
    """
    if workers <= 1:
        cv2.setNumThreads(0)
        yield map
        return
    # No fork of this process: locks that its threads hold (OpenCV's, OpenMP's) would stay locked in the child for ever.
    context = multiprocessing.get_context("spawn")
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", module])
    with ProcessPoolExecutor(workers, context, _start) as pool:
        try:
            yield pool.map
        except BrokenProcessPool:
            raise InputError(
                "a process was killed, perhaps for want of memory: start again with fewer --workers; "
                "finished work is kept"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)  # else an interrupted run would first finish all that was planned


def available_processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the calling process's to handle
    cv2.setNumThreads(0)  # as many processes as cores have no use for more threads
