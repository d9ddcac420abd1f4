"""Arrays of numbers in MATLAB's level-5 files, with every length in them checked before it is believed.

SciPy reads these files in C and trusts them: a changed byte can end the process, a packed part fill the memory.
Format: MathWorks, "MAT-File Format": elements of type, length and content, where a matrix is itself made of elements.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from util.errors import InputError

MOST_BYTES = 1 << 28  # of a file, packed or not; JHMDB's have 25 MB at most
_HEADER = 128
_BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version and byte order, at the header's end
_MATRIX, _PACKED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = range(6, 16)  # classes from double to uint64; cells, records, text and sparse matrices come before
_COMPLEX = 0x800


def read_array(path: Path, name: str) -> np.ndarray | None:
    """The array `name`; None where the file holds none of that name.

    Raises:
        InputError: the file is missing, damaged, too large, of another level, or `name` is no array of real numbers.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        data = path.read_bytes()
        order = _BYTE_ORDERS.get(data[_HEADER - 4 : _HEADER])
        if order is None:
            raise ValueError("no level-5 file, as MATLAB's -v7 writes it, but not -v7.3 or -v4")
        for kind, content in _elements(_unpacked(data[_HEADER:], order), order):
            array = _array(content, order, name) if kind == _MATRIX else None
            if array is not None:
                return array
        return None
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path}: {reason}; check --jhmdb_path, or download it again") from error
    except (ValueError, struct.error, zlib.error) as error:
        raise InputError(f"{path}: {name} cannot be read: {error}; download it again") from error


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each."""
    start = 0
    while start < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, start)
        at = start + 8
        if kind >> 16:  # up to four bytes lie in the place of the length
            kind, length, at = kind & 0xFFFF, kind >> 16, start + 4
        content = data[at : at + length]
        if len(content) < length or (at == start + 4 and length > 4):
            raise ValueError("it is cut off")
        yield kind, content
        padding = 0 if kind == _PACKED else -(at + length) % 8
        start = at + length + padding


def _unpacked(data: bytes, order: str) -> bytes:
    """The file's elements with the packed ones unpacked, up to MOST_BYTES."""
    parts, room = [], MOST_BYTES
    for kind, content in _elements(data, order):
        if kind == _PACKED:
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(content, max(room, 1))  # 0 would mean no limit
            if not unpacking.eof:
                raise ValueError(f"a part of it is cut off, or has more than {MOST_BYTES} bytes")
        else:
            content = struct.pack(f"{order}II", kind, len(content)) + content
        parts.append(content + bytes(-len(content) % 8))
        room -= len(content)
    return b"".join(parts)


def _array(matrix: bytes, order: str, name: str) -> np.ndarray | None:
    """A matrix's values, in its shape; None where it is called otherwise."""
    parts = _elements(matrix, order)
    (_, flags), (_, shape), (_, called) = (next(parts, (0, b"")) for _ in range(3))
    if called != name.encode():
        return None
    sort = struct.unpack_from(f"{order}I", flags)[0]
    kind, values = next(parts, (0, b""))
    if sort & 0xFF not in _NUMBERS or sort & _COMPLEX or kind not in _TYPES:
        raise ValueError("it is no array of real numbers")
    dimensions = np.frombuffer(shape, f"{order}i4").tolist()
    array = np.frombuffer(values, order + _TYPES[kind])
    if len(dimensions) < 2 or min(dimensions) < 0 or math.prod(dimensions) != len(array):
        raise ValueError(f"it has {len(array)} values for the shape {dimensions}")
    return array.reshape(dimensions, order="F")
