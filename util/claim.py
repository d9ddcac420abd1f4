"""One program at a time in an output folder; what a killed one left half-written there is swept away."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from util.errors import InputError
from util.files import cannot_write, make_output_folder, sweep

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
    with _locked(folder) as file:
        try:
            sweep(folder, own=LOCK)
            yield folder
        finally:
            with suppress(OSError):
                Path(file.name).unlink()


def _locked(folder: Path) -> TextIO:
    """The lock's file, which is the system's to free however this process ends."""
    while True:
        try:
            file = (folder / LOCK).open("a+")
        except OSError as error:
            raise cannot_write(folder / LOCK, error) from error
        try:
            _lock(folder, file)
            # Who had it before may have deleted it between our opening and our locking it: then it keeps nobody out.
            if os.path.samestat(os.fstat(file.fileno()), (folder / LOCK).stat()):
                return file
        except FileNotFoundError:
            continue
        except InputError:
            file.close()
            raise


def _lock(folder: Path, file: TextIO) -> None:
    """Of a kind that forked data workers do not inherit. Raises InputError where another program has it."""
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
    with suppress(OSError):  # no room for the name: the lock holds without
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()}".encode())
