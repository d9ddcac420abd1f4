"""What a process that loads data needs at its start."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch

from util.errors import InputError


def one_thread(worker: int = 0) -> None:
    """Keep OpenCV and torch to one thread; for DataLoader's `worker_init_fn`, which passes the worker's number.

    Several workers with a thread for each core fight for the cores, and OpenCV's threads do not survive a fork.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loading_process(worker: int) -> None:
    """The start of a process that loads training data: Ctrl-C and SIGTERM, sent to all, are for the loop to handle.

    It wants its data until it has saved its state. A loader process ends with the one that started it.
    """
    one_thread()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def lost_workers_explained() -> Iterator[None]:
    """Raises InputError where the block loses a loader process, or one reports wrong input: one line, no traceback."""
    try:
        yield
    except InputError as error:
        _, report, words = str(error).rpartition(f"{InputError.__module__}.{InputError.__name__}: ")
        raise InputError(words.strip()) if report else error from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a process that loads data was killed, perhaps for want of memory: start again with fewer --num_workers; "
            "the same command goes on from the last checkpoint"
        ) from error
