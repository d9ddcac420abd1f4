"""Whether memory that is freed goes back to the system: a process is as small as what it holds, or as fast as can be.

Both are wishes to glibc, for the whole process; elsewhere nothing happens. Who sets CHOSEN in the environment is left
alone.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)
LARGE = 8 << 20  # bytes
USUAL = 32 << 20
HUGE = 1 << 30
NEVER = -1
CHOSEN = "MALLOC_MMAP_THRESHOLD_"  # environment: glibc's own word for it


def return_freed_memory() -> None:
    """Keep glibc from raising the size above which a block has a mapping of its own.

    By default it learns from the first large block that is freed to cut later ones (up to 32 MiB) from its heap, where
    what was freed between two blocks in use stays with the process: 2 GB of 7 in a training step on a CPU.
    """
    _ask({M_MMAP_THRESHOLD: LARGE})


def keep_freed_memory() -> None:
    """Blocks below 1 GiB are used again, and not given back before the process ends: fresh pages cost time.

    Where large tensors come and go: a sixth of it in inference, a fifth in training.
    """
    _ask({M_TRIM_THRESHOLD: NEVER, M_MMAP_THRESHOLD: HUGE})


def usual_memory() -> None:
    """What glibc comes to by itself once large blocks were freed, to compare with."""
    _ask({M_TRIM_THRESHOLD: 2 * USUAL, M_MMAP_THRESHOLD: USUAL})


def _ask(wishes: dict[int, int]) -> None:
    if sys.platform != "linux" or CHOSEN in os.environ:
        return
    try:
        library = ctypes.CDLL("libc.so.6")
        for name, value in wishes.items():
            library.mallopt(name, value)
    except (OSError, AttributeError):
        return  # another C library
