"""What every check needs: where to look, how deep, and how to look at many files at once."""

import json
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from tools.data.doctor.findings import Kind, Report
from util.mask_io import open_image, read_image

Item = TypeVar("Item")
Found = Generator[tuple[Kind, str], None, Any]  # an examination yields kind and offender; some return what they read

SAMPLED = 50  # files of a sort whose headers are read where not all files are

UNREADABLE = Kind("file cannot be used", "get the data set's own file again")


@dataclass(frozen=True)
class Visit:
    """One run of the doctor.

    root    the data set's folder
    splits  those to check; empty: all that are there
    deep    decode every file, instead of names, sizes, JSON and some headers
    """

    root: Path
    splits: tuple[str, ...] = ()
    deep: bool = False

    def choose_splits(self, report: Report, known: Sequence[str], there: Callable[[str], bool]) -> list[str]:
        """The splits to check: those asked for, else those that are there; says which are left out."""
        if self.splits:
            return list(self.splits)
        absent = [split for split in known if not there(split)]
        if absent and len(absent) < len(known):
            report.fact(f"{', '.join(absent)}: not here, not checked")
        return [split for split in known if split not in absent]

    def sampled(self, items: Iterable[Item]) -> set[Item]:
        """The items whose content is looked at: all of them if `deep`, else some, evenly spaced."""
        items = list(items)
        if self.deep or len(items) <= SAMPLED:
            return set(items)
        return {items[i] for i in np.linspace(0, len(items) - 1, SAMPLED).astype(int)}


def examine_each(report: Report, items: Sequence[Item], examine: Callable[[Item], Found], label: str) -> None:
    """Report what `examine` finds in each item, in the items' order; several are read at a time."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        found = pool.map(lambda item: list(examine(item)), items)
        # A bar only where somebody looks: deep checks of a whole set take an hour.
        for findings in tqdm(found, label, len(items), leave=False, disable=None):
            for kind, offender in findings:
                report.add(kind, offender)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt need not wait for what has not begun


def read_json(report: Report, file: Path) -> Any:
    """A JSON file's content; None, and a finding, where it cannot be read."""
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        report.add(UNREADABLE, f"{file}: {error.strerror}")
    except (ValueError, RecursionError) as error:
        report.add(UNREADABLE, f"{file}: not valid JSON ({error})")
    return None


def files_in(folder: Path, suffix: str) -> dict[str, int] | None:
    """Name without suffix → bytes of the folder's files, sorted; None where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            # Names that start with a dot are what macOS leaves beside unpacked files.
            named = [entry for entry in entries if entry.name.endswith(suffix) and entry.name[0] != "."]
            # A link that leads nowhere is no file.
            there = {entry.name.removesuffix(suffix): entry.stat().st_size for entry in named if entry.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return None
    return dict(sorted(there.items()))


def image_size(file: Path, deep: bool) -> tuple[int, int]:
    """(width, height) of an image, from its header, or after decoding all of it if `deep`.

    Raises:
        InputError: it is missing, broken or no image.
    """
    if deep:
        height, width = read_image(file).shape[:2]
        return width, height
    with open_image(file) as image:
        return image.size


def size_text(size: tuple[int, int]) -> str:
    """(width, height) as messages show it."""
    return f"{size[0]}×{size[1]}"
