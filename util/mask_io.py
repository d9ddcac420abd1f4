"""Images and masks from and to disk: RGB frames, 0/255 masks, and palette PNGs whose pixels are object ids."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from util.errors import InputError
from util.files import atomic_write

# Of an image or a video's frame, 8192×8192: a small file may claim any size, and would fill the memory.
MOST_PIXELS = 1 << 26
# What cameras and data sets write. Pillow reads many others, one of which (EPS) starts a program.
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
# How Pillow calls grey pixels of 2 and 4 bits: it spreads them over 0…255, so that ids become others.
SPREAD_GREY = ("L;2", "L;4")
# Pillow reports a broken file in any of these ways, depending on where in the file it breaks.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, TypeError)
warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS is the stricter limit


def davis_palette() -> list[int]:
    """The 256 colours of PASCAL VOC and DAVIS as 768 numbers r, g, b, r, g, b, ...

    An id's bits are dealt out in turn to red, green and blue, the lowest bits becoming the colours' highest, so that
    neighbouring ids look different.
    """
    ids = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        colours[:, bit % 3] |= (ids >> bit & 1) << (7 - bit // 3)
    return colours.reshape(-1).tolist()


def write_mask(path: str | os.PathLike, mask: np.ndarray) -> None:
    """Write `mask` ([H, W], bool or uint8; anything but 0 is the object) as a PNG of mode L with 0 and 255.

    Raises:
        InputError: `path` cannot be written.
        ValueError: `mask` is not [H, W].
    """
    pixels = np.where(_two_dimensional(mask) != 0, np.uint8(255), np.uint8(0))
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def write_label_map(path: str | os.PathLike, labels: np.ndarray, palette: list[int] | None = None) -> None:
    """Write `labels` ([H, W] uint8 object ids) as a palette PNG, in DAVIS' colours where `palette` names none.

    Raises:
        InputError: `path` cannot be written.
        ValueError: `labels` is not [H, W] of uint8.
    """
    if np.asarray(labels).dtype != np.uint8:
        raise ValueError(f"object ids must be uint8, not {np.asarray(labels).dtype}")
    image = Image.fromarray(_two_dimensional(labels))
    own = palette or []
    # Filled up to 256 colours: with fewer, Pillow packs pixels into fewer bits and larger ids are lost.
    image.putpalette([*own, *davis_palette()[len(own) :]])
    with atomic_write(path) as temporary:
        image.save(temporary, format="PNG")


def read_label_map(path: str | os.PathLike) -> np.ndarray:
    """Read object ids, [H, W] uint8, from a PNG: the index into its palette, not the colour, or its 8-bit grey.

    Raises:
        InputError: the file is missing, broken, too large, no PNG, or of another mode.
    """
    with open_image(path, ("PNG",)) as image:
        image.verify()  # the check sums, which decoding passes over: a changed bit would be another id
    with open_image(path, ("PNG",)) as image:
        mode = image.tile[0][3] if image.tile else image.mode  # as the pixels lie in the file
        if image.mode not in ("P", "L") or mode in SPREAD_GREY:
            raise InputError(
                f"{os.fspath(path)}: a mask must be a palette or an 8-bit grey PNG whose pixels are object ids, "
                f"this one is of mode {mode}; convert it or get the data set's own file"
            )
        return np.array(image)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image as [H, W, 3] uint8, RGB; transparency is dropped, 16 bits become 8.

    Raises:
        InputError: the file is missing, broken, too large or no image.
    """
    with open_image(path) as image:
        if image.mode == "P" and not image.getpalette():
            raise InputError(f"{os.fspath(path)}: the palette with its colours is missing; fetch it again")
        return np.array(image.convert("RGB"))


def object_mask(values: np.ndarray) -> np.ndarray:
    """Where numbers of any kind are not 0, bool of their shape. Raises ValueError for NaN and what is no number."""
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise ValueError(f"masks of {values.dtype} that are not all numbers")
    return values != 0


@contextmanager
def open_image(path: str | os.PathLike, formats: Sequence[str] = IMAGE_FORMATS) -> Iterator[Image.Image]:
    """The image by its header; pixels are decoded when asked for, and what is wrong with them is explained then too.

    Raises:
        InputError: the file is missing, broken, of none of `formats` (Pillow's names), or has over MOST_PIXELS.
    """
    # Some libraries switch this on for the whole process, and cut files are then filled up with grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(path, formats=formats) as image:
            refuse_huge(path, image.width, image.height)
            yield image
    except FileNotFoundError as error:
        raise InputError(f"{os.fspath(path)}: no such file; check the data set's folder") from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(formats)
        raise InputError(f"{os.fspath(path)}: not an image ({kinds}) that can be read; fetch it again") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{os.fspath(path)}: too large ({error}); fetch it again, or make it smaller") from error
    except _BROKEN as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{os.fspath(path)}: the image cannot be read ({reason}); fetch it again") from error


def refuse_huge(path: str | os.PathLike, width: int, height: int) -> None:
    """Raises InputError where an image has more than MOST_PIXELS."""
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{os.fspath(path)}: {width}×{height} pixels, at most {MOST_PIXELS} are read; "
            "fetch it again, or make it smaller"
        )


def _two_dimensional(values: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(values)
    if array.ndim != 2:
        raise ValueError(f"expected [height, width], got shape {array.shape}")
    return array
