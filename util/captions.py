"""Sentences in a strip above a picture, which stays whole: each behind a spot in its colour, a note at its right."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from util.visualize import Color

LETTERS, PALE, DARK = (245, 245, 245), (165, 165, 165), (20, 20, 20)
GROUND = (32, 32, 32)  # of the strip: letters are always light on it, spots show the colours
SMALLEST = 11  # pixels of a letter that can just be read
LONGEST_NOTE = "key frame given"  # every note has its room, so that all pictures of a video have one size

# Pillow's built-in font has ASCII only; these, where installed, know accents and other scripts.
FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "Arial Unicode.ttf"),
)


@dataclass(frozen=True)
class Caption:
    """A sentence and its colour in the picture.

    note    what is to be said of it in this picture, such as a score; at most as long as LONGEST_NOTE
    strong  whether the note stands out
    """

    text: str
    color: Color
    note: str = ""
    strong: bool = False


def captioned(image: np.ndarray, captions: Sequence[Caption], heading: str = "") -> np.ndarray:
    """Put a strip with a heading and sentences above a picture; long sentences are wrapped at words.

    The strip's height follows from the sentences and the picture's width, and not from the other texts.

    Args:
        image: uint8 RGB [H, W, 3].
        captions: from top to bottom.
        heading: one pale line; what does not fit is cut.

    Returns:
        uint8 RGB [H + strip, W, 3].
    """
    width = image.shape[1]
    size = max(SMALLEST, round(width / 42))
    margin, step = round(0.6 * size), round(1.5 * size)
    indent = 2 * margin + size
    room = _font_for(LONGEST_NOTE, size).getlength(LONGEST_NOTE) + 2 * margin if any(c.note for c in captions) else 0
    free = max(width / 3, width - indent - room - margin)
    blocks = [_wrap(caption.text, _font_for(caption.text, size), free) for caption in captions]
    rows = sum(map(len, blocks)) + bool(heading)
    strip = Image.new("RGB", (width, rows * step + margin if rows else 0), GROUND)
    pen = _Pen(ImageDraw.Draw(strip), size, margin)
    middle = (step + margin) // 2
    if heading:
        pen.write(margin, middle, heading, PALE)
        middle += step
    for caption, lines in zip(captions, blocks, strict=True):
        pen.spot(middle, caption.color)
        pen.note(width, middle, caption)
        for line in lines:
            pen.write(indent, middle, line, LETTERS)
            middle += step
    return np.concatenate([np.array(strip), image])


@dataclass(frozen=True)
class _Pen:
    """Draws what a strip is made of; `middle` is a row's."""

    draw: ImageDraw.ImageDraw
    size: int
    margin: int

    def write(self, left: int, middle: int, text: str, color: Color) -> None:
        self.draw.text((left, middle), text, fill=color, font=_font_for(text, self.size), anchor="lm")

    def spot(self, middle: int, color: Color) -> None:
        half = 0.4 * self.size
        box = (self.margin, middle - half, self.margin + 2 * half, middle + half)
        self.draw.rounded_rectangle(box, radius=0.5 * half, fill=color)

    def note(self, width: int, middle: int, caption: Caption) -> None:
        right, font = width - 2 * self.margin, _font_for(caption.note, self.size)
        if caption.strong:
            left, half = right - font.getlength(caption.note), 0.7 * self.size
            box = (left - self.margin, middle - half, right + self.margin, middle + half)
            self.draw.rounded_rectangle(box, radius=0.5 * half, fill=caption.color)
        self.draw.text((right, middle), caption.note, fill=_ink(caption), font=font, anchor="rm")


def _ink(caption: Caption) -> Color:
    """What can be read: light on the strip, on the sentence's colour the one that differs more."""
    red, green, blue = caption.color
    return DARK if caption.strong and 0.3 * red + 0.59 * green + 0.11 * blue > 120 else LETTERS


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break a sentence into rows no wider than `width`, at words; a word that is too wide is cut."""
    rows = [""]
    for word in text.split():
        joined = f"{rows[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            rows[-1] = joined
            continue
        if rows[-1]:
            rows.append("")
        for letter in word:
            if rows[-1] and font.getlength(rows[-1] + letter) > width:
                rows.append("")
            rows[-1] += letter
    return rows


@lru_cache(maxsize=256)
def _font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The first font at hand that has every letter of `text`, else the first at hand."""
    fonts = [font for font in (_load(name, size) for name in FONTS) if font is not None]
    fonts.append(ImageFont.load_default(size))
    return next((font for font in fonts if _has_all(font, text)), fonts[0])


@lru_cache(maxsize=64)
def _load(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None  # not installed here


def _has_all(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether no letter is drawn as the box that stands for an unknown one."""
    unknown = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(letter)) != unknown for letter in set(text) if not letter.isspace())
