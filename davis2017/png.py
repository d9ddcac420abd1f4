"""PNG files that hold object ids: their header, and their pixels in half of Pillow's time where the file is plain.

Reading is half of the evaluation's work. Palette PNGs are usually written without row filters, DAVIS' own and this
project's are; what is compressed then is the ids themselves.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

from util.errors import InputError
from util.mask_io import MOST_PIXELS, read_label_map

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")  # length of the content, kind; four bytes of check sum follow the content
_HEADER = struct.Struct(">IIBB2xB")  # width, height, bits, colour type, interlaced: the content of the first chunk
_START = len(_SIGNATURE) + _CHUNK.size + _HEADER.size
_GREY, _PALETTE = 0, 3


def id_image_size(path: Path) -> tuple[int, int]:
    """Width and height, from the file's first bytes.

    Raises:
        InputError: it cannot be read, is no PNG, or of a kind whose pixels are not ids of up to 8 bits.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(start) < _START or not start.startswith(_SIGNATURE):
        raise InputError(f"{path}: not a PNG")
    width, height, bits, colour, _ = _header(start)
    if colour != _PALETTE and (colour, bits) != (_GREY, 8):
        raise InputError(f"{path}: neither a palette nor an 8-bit grey PNG, so its pixels are no object ids")
    return width, height


def read_ids(path: Path) -> np.ndarray:
    """Read object ids, [H, W] uint8, as util.mask_io.read_label_map does; what is not plain, or is broken, it reads.

    Raises:
        InputError: the file is missing, broken or of another kind.
    """
    try:
        ids = _plain_ids(path.read_bytes())
    except (OSError, ValueError, struct.error, zlib.error):
        ids = None
    return read_label_map(path) if ids is None else ids


def _plain_ids(data: bytes) -> np.ndarray | None:
    """The ids of a palette PNG of 8 bits whose rows are neither filtered nor interlaced; None: it is not of this kind.

    The compressed pixels end in a check sum, so a broken file raises one of the errors caught above.
    """
    width, height, bits, colour, interlaced = _header(data)
    if not data.startswith(_SIGNATURE) or (colour, bits, interlaced) != (_PALETTE, 8, 0):
        return None
    if width * height > MOST_PIXELS:
        return None
    size = height * (width + 1)  # every row begins with the number of its filter
    unpacking = zlib.decompressobj()
    pixels = unpacking.decompress(_compressed(data), size)
    if unpacking.decompress(unpacking.unconsumed_tail, 1) or not unpacking.eof:
        return None  # more than the header says, or cut off
    rows = np.frombuffer(pixels, dtype=np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:].copy()


def _header(data: bytes) -> tuple[int, int, int, int, int]:
    return _HEADER.unpack_from(data, len(_SIGNATURE) + _CHUNK.size)


def _compressed(data: bytes) -> bytes:
    parts = []
    position, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = _CHUNK.unpack_from(data, position)
        position += _CHUNK.size
        if kind == b"IDAT":
            parts.append(data[position : position + length])
        position += length + 4
    return b"".join(parts)
