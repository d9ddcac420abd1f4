"""Results as they lie in a folder or in a submission zip, read member by member, never unpacked.

Only names that the caller expects are looked up; a name from inside a zip never becomes a path.
"""

import zipfile
import zlib
from functools import lru_cache
from lzma import LZMAError
from pathlib import Path
from typing import Protocol

from util.errors import InputError
from util.submission import TOP_FOLDER

MOST_BYTES = 16 << 20  # of one mask; a PNG of 0 and 255 stays far below, whatever its size
# zipfile's own errors, those of its decompressors, and RuntimeError for a member that asks for a password.
_BROKEN_MEMBER = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, RuntimeError, ValueError)


class ResultFiles(Protocol):
    """Files by their names, such as `video/0/00005.png`."""

    def read(self, name: str, most: int | None = None) -> bytes:
        """The file's bytes, the first `most` of them where it is given.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is broken or too large.
            Either message goes on after the file's name.
        """


class FolderResults:
    """A folder: `<name>` under it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, most: int | None = None) -> bytes:
        path = self.root / name
        try:
            if most is None and path.stat().st_size > MOST_BYTES:
                raise ValueError(f"has more than {MOST_BYTES} bytes")
            with path.open("rb") as file:
                return file.read(most)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError("is missing") from error
        except OSError as error:
            raise ValueError(f"cannot be read ({error.strerror})") from error


class ZipResults:
    """A submission zip: `Annotations/<name>` in it."""

    def __init__(self, path: Path) -> None:
        self.archive = open_zip(path)
        names = [info.orig_filename for info in self.archive.infolist()]
        twice = len(names) - len(set(names))
        if twice:
            raise InputError(f"{path}: {twice} names are in it twice, and only one can be meant; make it anew")
        if not any(name.startswith(f"{TOP_FOLDER}/") for name in names):
            raise InputError(f"{path}: no folder {TOP_FOLDER}/ at its top; a submission holds {TOP_FOLDER}/<video>/…")

    def read(self, name: str, most: int | None = None) -> bytes:
        try:
            info = self.archive.getinfo(f"{TOP_FOLDER}/{name}")
        except KeyError as error:
            raise FileNotFoundError("is missing") from error
        return read_member(self.archive, info, most)


@lru_cache(maxsize=1)  # a process scores many videos of one zip, whose list of names is long
def open_results(path: Path) -> ResultFiles:
    """The results at `path`, a folder or a zip. Raises InputError where it is neither."""
    if path.is_dir():
        return FolderResults(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; give --results what the inference wrote")
    return ZipResults(path)


def open_zip(path: Path) -> zipfile.ZipFile:
    """The zip, its list of names read. Raises InputError where it is none."""
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise InputError(f"{path}: not a zip, or broken ({error}); make or fetch it again") from error


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int | None = None) -> bytes:
    """A member's bytes, the first `most` of them where it is given. Raises ValueError where it is broken or too large.

    zipfile never gives more than `file_size` bytes, so a member that unpacks to more than it says is caught too.
    """
    if info.file_size > MOST_BYTES:
        raise ValueError(f"unpacks to {info.file_size} bytes, a mask to {MOST_BYTES} at most")
    try:
        with archive.open(info) as file:
            return file.read(MOST_BYTES if most is None else most)
    except _BROKEN_MEMBER as error:
        raise ValueError(f"is broken ({error})") from error
