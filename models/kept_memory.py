"""Freed memory stays with the process: large tensors come and go, and fresh pages for each would cost time."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_NEVER, _LARGE = -1, 2**30


def keep_freed_memory() -> bool:
    """From now on, and for the whole process; False where the C library is not glibc.

    Blocks below 1 GiB are then used again, and their pages not given back to the system before the process ends.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER) and mallopt(_MMAP_THRESHOLD, _LARGE))
