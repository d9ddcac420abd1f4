"""Large blocks of memory go back to the system when they are freed, so that a process is as big as what it holds."""

import ctypes
import os
import sys

M_MMAP_THRESHOLD = -3  # of glibc's mallopt(3)
LARGE = 8 << 20  # bytes
CHOSEN = "MALLOC_MMAP_THRESHOLD_"  # environment: glibc's own word for it


def return_freed_memory() -> None:
    """Keep glibc from raising the size above which a block has a mapping of its own; nothing to do elsewhere.

    By default it learns from the first large block that is freed to cut later ones (up to 32 MiB) from its heap, where
    what was freed between two blocks in use stays with the process: 2 GB of 7 in a training step on a CPU.
    Fresh memory costs time, though; who has memory to spare sets CHOSEN, and is left alone.
    """
    if sys.platform != "linux" or CHOSEN in os.environ:
        return
    try:
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, LARGE)
    except (OSError, AttributeError):
        return  # another C library
