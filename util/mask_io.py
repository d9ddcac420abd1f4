"""Images and masks from and to disk: RGB frames, 0/255 masks, and palette PNGs whose pixels are object ids."""

import os

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from util.errors import InputError
from util.files import atomic_write

# Pillow reports a broken file in any of these ways, depending on where in the file it breaks.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, Image.DecompressionBombError)


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
    """Read object ids, [H, W] uint8, from an image of mode P (the index, not its colour) or L.

    Raises:
        InputError: the file is missing, broken, no image, or of another mode.
    """
    image = _open_whole(path)
    if image.mode not in ("P", "L"):
        raise InputError(
            f"{os.fspath(path)}: a mask must be an 8-bit palette or grey image whose pixels are object ids, "
            f"this one is of mode {image.mode}; convert it or get the data set's own file"
        )
    return np.array(image)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image as [H, W, 3] uint8, RGB.

    Raises:
        InputError: the file is missing, broken or no image.
    """
    return np.array(_open_whole(path).convert("RGB"))


def _open_whole(path: str | os.PathLike) -> Image.Image:
    """The image with every pixel decoded: Pillow alone would find a cut file only later, or never."""
    # Some libraries switch this on for the whole process, and cut files are then filled up with grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise InputError(f"{os.fspath(path)}: no such file; check the data set's folder") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{os.fspath(path)}: not an image; fetch it again") from error
    except _BROKEN as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{os.fspath(path)}: the image cannot be read ({reason}); fetch it again") from error


def _two_dimensional(values: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(values)
    if array.ndim != 2:
        raise ValueError(f"expected [height, width], got shape {array.shape}")
    return array
