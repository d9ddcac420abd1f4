"""The benchmark server's zip: `Annotations/<video>/<expression id>/<frame>.png`, complete, the same bytes each time."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from util.errors import InputError
from util.files import atomic_write, first_few
from util.mask_io import open_image

TOP_FOLDER = "Annotations"
MASK_KIND = "PNG L"
# A zip stores the time of each file; the format's first day instead of now makes equal masks give equal bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_READABLE_BY_ALL = 0o100644 << 16

Expected = Mapping[str, Mapping[str, Sequence[str]]]


def write_submission(zip_path: str | os.PathLike, annotations_root: str | os.PathLike, expected: Expected) -> int:
    """Pack the masks under `annotations_root` and return how many there are.

    `expected` says what must be there: video -> expression id -> frame names without suffix. Files that it does not
    name are left out.

    Raises:
        InputError: a mask is missing, not a PNG of mode L, or differs in size from its video's other masks; or the
            zip cannot be written. Nothing is written then.
    """
    root = Path(annotations_root)
    _refuse_missing(root, expected)
    _refuse_malformed(root, expected)
    entries = sorted(set(_entries(expected)))
    with atomic_write(zip_path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            archive.writestr(_described(f"{TOP_FOLDER}/{entry}"), (root / entry).read_bytes())
    return len(entries)


def _entries(expected: Expected) -> Iterator[str]:
    for video, expressions in expected.items():
        for expression, frames in expressions.items():
            yield from (f"{video}/{expression}/{frame}.png" for frame in frames)


def _described(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=_NO_TIME)
    info.create_system = _UNIX
    info.external_attr = _READABLE_BY_ALL
    return info


def _refuse_missing(root: Path, expected: Expected) -> None:
    entries = list(_entries(expected))
    missing = [entry for entry in entries if not (root / entry).is_file()]
    if missing:
        raise InputError(
            f"{root}: {len(missing)} of {len(entries)} masks are missing ({first_few(missing)}); "
            "run the inference again, it makes only what is missing"
        )


def _refuse_malformed(root: Path, expected: Expected) -> None:
    malformed = []
    for video, expressions in expected.items():
        headers = {entry: _header(root / entry) for entry in _entries({video: expressions})}
        right = next((header for header in headers.values() if header.startswith(MASK_KIND)), MASK_KIND)
        malformed += [f"{entry}: {header}" for entry, header in headers.items() if header != right]
    if malformed:
        raise InputError(
            f"{root}: {len(malformed)} masks are not {MASK_KIND} of their video's one size ({first_few(malformed)}); "
            "delete them and run the inference again"
        )


def _header(path: Path) -> str:
    """Format, mode and size, such as "PNG L 854x480", by the first bytes alone: decoding 20 000 masks takes long."""
    try:
        with open_image(path) as image:
            return f"{image.format} {image.mode} {image.width}x{image.height}"
    except InputError:
        return "cannot be read"
