"""What a process that loads data needs at its start."""

import os
import signal
import threading
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

    It wants its data until it has saved its state, and then ends its loaders itself.
    """
    one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_when_parent_says, daemon=True).start()


def _end_when_parent_says() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


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
