"""Files and folders that are whole or not there: written beside their place under a hidden name, then renamed.

A run that is cut off leaves nothing half-written under a final name, so whatever exists can be trusted and skipped.
"""

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from util.errors import OutputError

_NO_ROOM = "free some space there or choose another place"
_LOCKED = "make it writable or choose another place"
_CURES = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: _NO_ROOM,
    errno.EACCES: _LOCKED,
    errno.EPERM: _LOCKED,
    errno.EROFS: _LOCKED,
    errno.EIO: "check that disk or choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away or choose another place",
    errno.EEXIST: "a file stands where a folder is needed: move it away or choose another place",
    errno.EISDIR: "a folder stands where a file is to be written: move it away or choose another place",
}
# A failing write() names no file: these alone are then surely about the disk that is written to.
_WRITE_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_TEMPORARY = re.compile(r"\..*\.\d+-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)  # what _final_and_temporary makes


@contextmanager
def atomic_write(path: str | os.PathLike, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there becomes `path` on success, else it is removed.

    Parent folders are made. The temporary name keeps the suffix, for writers that choose a format by it. A link is
    followed, not replaced. `durable` waits until the disk has the bytes, so that a power cut cannot leave an empty
    file under the final name.

    Raises:
        InputError: the place cannot be written (read-only, full, a folder is there, ...).
    """
    final, temporary = _final_and_temporary(path)
    try:
        with _write_errors_explained(path, final, temporary):
            final.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if durable:
                _wait_for_disk(temporary)
            temporary.replace(final)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(path: str | os.PathLike, content: object) -> None:
    """Write `content` as JSON for people too, letters as they are, whole or not at all. Raises InputError."""
    with atomic_write(path) as temporary:
        # Half a character, which no UTF-8 can hold, goes back as JSON writes it: \ud800.
        text = json.dumps(content, ensure_ascii=False, indent=1)
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a new hidden folder beside `path`; it becomes `path` on success (replacing an old one), else it goes.

    Raises:
        InputError: the place cannot be written (read-only, full, a file is there, ...).
    """
    final, temporary = _final_and_temporary(path)
    try:
        with _write_errors_explained(path, final, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: str | os.PathLike, final: str | os.PathLike) -> None:
    """Rename the folder `new` to `final`; a folder already there is put aside first and deleted afterwards.

    Raises:
        OSError: the rename failed; what was at `final` is there again.
        NotADirectoryError: `final` is a file.
    """
    new, final = Path(new), Path(final)
    if not final.exists():
        new.rename(final)
        return
    if not final.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(final))
    _, old = _final_and_temporary(final)
    final.rename(old)
    try:
        new.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def make_output_folder(path: str | os.PathLike) -> Path:
    """Create the folder `path` with its parents and prove, before hours of work, that files can be written there.

    Raises:
        InputError: it cannot be created or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except OSError as error:
        raise cannot_write(path, error) from error
    return folder


def sweep(folder: Path, own: str) -> None:
    """Delete what killed programs left under temporary names in `folder` and below.

    own: the name of a file that marks a folder as one program's; others than `folder` that hold it are passed by.
    """
    for place, folders, files in os.walk(folder):
        if Path(place) != folder and own in files:
            folders.clear()
            continue
        for name in filter(_TEMPORARY.fullmatch, files):
            with suppress(OSError):
                Path(place, name).unlink()
        for name in filter(_TEMPORARY.fullmatch, list(folders)):
            shutil.rmtree(Path(place, name), ignore_errors=True)
            folders.remove(name)


def cannot_write(path: str | os.PathLike, error: OSError) -> OutputError:
    """The error to raise when writing `path` failed with `error`: what, where, and the cure."""
    cure = _CURES.get(error.errno, "choose another place")
    return OutputError(f"cannot write {os.fspath(path)}: {error.strerror or error}; {cure}")


def first_few(names: Iterable[str], at_most: int = 8) -> str:
    """The names a message shows of many, such as: a, b and 3 more."""
    names = list(names)
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")


def _final_and_temporary(path: str | os.PathLike) -> tuple[Path, Path]:
    """The place itself, links followed, and a hidden name beside it that no other process or machine picks too."""
    final = Path(path).resolve()
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    # The name is cut because file systems allow 255 bytes and a character may take four.
    return final, final.with_name(f".{final.stem[:40]}.{token}{final.suffix[:20]}")


def _wait_for_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def _write_errors_explained(path: str | os.PathLike, final: Path, temporary: Path) -> Iterator[None]:
    """Turn an OSError about writing `path` into an InputError; the caller's other failures pass as they are."""
    try:
        yield
    except OSError as error:
        if not _is_about(error, final, temporary):
            raise
        raise cannot_write(path, error) from error


def _is_about(error: OSError, final: Path, temporary: Path) -> bool:
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return error.errno in _WRITE_FAILURES
    where = Path(os.fsdecode(error.filename))
    return where in (temporary, final, *final.parents) or temporary in where.parents
