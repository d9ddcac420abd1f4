"""One program at a time in an output folder; what a killed one left half-written there is swept away."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from util.errors import InputError
from util.files import make_output_folder, sweep

try:
    import fcntl
except ImportError:  # Windows: who starts two programs on one folder is not told
    fcntl = None

LOCK = ".lock"


@contextmanager
def claimed(path: str | os.PathLike) -> Iterator[Path]:
    """The output folder `path`, made where needed, and this program's alone until the block or the process ends.

    Of torchrun's processes the first one claims it for all. Raises InputError where it cannot be written, or another
    program is at work in it.
    """
    folder = make_output_folder(path)
    if os.environ.get("RANK", "0") != "0":
        yield folder
        return
    with (folder / LOCK).open("a+") as file:
        _lock(folder, file)
        sweep(folder, own=LOCK)
        yield folder


def _lock(folder: Path, file: TextIO) -> None:
    """The system frees it however the process ends; forked data workers do not inherit this kind."""
    if fcntl is None:
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        raise InputError(
            f"{folder}: another program ({file.read().strip() or 'starting'}) writes there: "
            "wait until it is done, or choose another place"
        ) from None
    except OSError:
        return  # a file system without locks
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
