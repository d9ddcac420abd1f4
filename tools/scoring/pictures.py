"""Small pictures for the report: a mask on its frame, or alone, as a data URI."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from util.errors import InputError
from util.mask_io import read_image
from util.visualize import Color, distinct_colors, overlay

WIDTH = 320  # in pixels
QUALITY = 75  # of a JPEG
_BLANK = 40  # grey of a frame that is not there

OURS, THEIRS = distinct_colors(2)  # the prediction's and the truth's colour


def frame_or_blank(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The frame at `path` as RGB uint8 of `size` (H, W); grey where it is missing, broken or of another size.

    A report of scores is no reason to fail for want of a picture.
    """
    blank = np.full((*size, 3), _BLANK, dtype=np.uint8)
    try:
        image = read_image(path) if path.is_file() else blank
    except InputError:
        return blank
    return image if image.shape == blank.shape else blank


def data_uri(image: np.ndarray, mask: np.ndarray, color: Color) -> str:
    """The frame (RGB uint8 [H, W, 3]) with the mask (bool [H, W]) on it, at most WIDTH wide, as a JPEG in a URI."""
    picture = Image.fromarray(overlay(image, [mask], [color]))
    picture.thumbnail((WIDTH, WIDTH))
    return jpeg_uri(picture)


def jpeg_uri(picture: Image.Image) -> str:
    """A picture as a JPEG in a URI."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
