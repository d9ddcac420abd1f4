"""What the first bytes of a PNG say, without decoding it, and a binary mask out of a PNG's bytes."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile

HEADER_BYTES = 33  # signature (8), then the chunk IHDR: length, name, 13 bytes of content, checksum
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Pillow reports a broken file in any of these ways, depending on where in the file it breaks.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
_COLOURS = {0: "grey", 2: "colour", 3: "palette", 4: "grey with alpha", 6: "colour with alpha"}


@dataclass(frozen=True)
class PngHeader:
    """Size in pixels, bits a channel, and what the pixels are."""

    width: int
    height: int
    bits: int
    colour: str

    @property
    def is_mask(self) -> bool:
        """Whether it is what the benchmarks' servers take: one channel of 8 bits, grey (Pillow's mode L)."""
        return (self.bits, self.colour) == (8, "grey")

    def __str__(self) -> str:
        return f"{self.bits}-bit {self.colour} {self.width}x{self.height}"


def png_header(start: bytes) -> PngHeader:
    """The header of a PNG by its first HEADER_BYTES bytes. Raises ValueError, which says what is wrong with them."""
    if len(start) < HEADER_BYTES or start[:8] != _SIGNATURE or start[8:16] != b"\x00\x00\x00\rIHDR":
        raise ValueError("is not a PNG" if start else "is empty")
    width, height, bits, colour, _, _, _, checksum = struct.unpack(">IIBBBBBI", start[16:HEADER_BYTES])
    if zlib.crc32(start[12:29]) != checksum or not width or not height or colour not in _COLOURS:
        raise ValueError("has a broken PNG header")
    return PngHeader(width, height, bits, _COLOURS[colour])


@dataclass(frozen=True)
class BinaryMask:
    """`pixels`: bool [H, W]. `zero_one`: the file held 0 and 1 instead of 0 and 255."""

    pixels: np.ndarray
    zero_one: bool


def decode_mask(data: bytes, size: tuple[int, int]) -> BinaryMask:
    """A whole PNG of mode L as a binary mask of `size` (H, W).

    The size is held against the header before a pixel is decoded, so that a small file cannot fill the memory.

    Raises:
        ValueError: it is broken, of another size or mode, or holds other values than 0 and 255, or 0 and 1.
    """
    check_header(png_header(data[:HEADER_BYTES]), size)
    pixels = _decoded(data)
    top = int(pixels.max())
    inside = pixels == top
    if top not in (0, 1, 255) or not (inside | (pixels == 0)).all():
        strangers = sorted(set(np.unique(pixels).tolist()) - {0, 255})
        raise ValueError(f"holds the values {strangers[:4]}; a mask is 0 and 255")
    return BinaryMask(inside if top else np.zeros_like(inside), top == 1)


def check_header(header: PngHeader, size: tuple[int, int]) -> None:
    """Raises ValueError where it is no mask or not of `size` (H, W)."""
    if not header.is_mask:
        raise ValueError(f"is {header}; a mask is 8-bit grey (mode L)")
    if (header.height, header.width) != size:
        raise ValueError(f"is {header.width}x{header.height}, its frame's ground truth is {size[1]}x{size[0]}")


def _decoded(data: bytes) -> np.ndarray:
    # Some libraries switch this on for the whole process, and cut files are then filled up with grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # the checksums, which decoding passes over; the image must be opened again after it
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except _BROKEN as error:
        raise ValueError(f"is broken ({error})") from error
