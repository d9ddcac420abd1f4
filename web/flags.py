"""The page's flags, and the limits that protect the machine it runs on."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

from util.errors import InputError

DEFAULT_MODEL = Path(__file__).parents[1] / "pretrained_weights" / "tf2_mini"


@dataclass(frozen=True)
class Limits:
    """What a visitor may send.

    max_frames      frames of a video
    max_megabytes   size of its file, in units of 10⁶ bytes
    max_pixels      width × height of a frame
    max_sentences   sentences at a time
    max_characters  characters of a sentence
    """

    max_frames: int = 300
    max_megabytes: int = 64
    max_pixels: int = 1920 * 1080
    max_sentences: int = 8
    max_characters: int = 200

    @property
    def max_bytes(self) -> int:
        return self.max_megabytes * 10**6

    def sentences(self, text: str) -> list[str]:
        """The sentences of a text, one a line. Raises InputError where there are none, or too many or too long ones."""
        lines = [" ".join(line.split()) for line in text.splitlines()]
        found = [line for line in lines if line]
        if not found:
            raise InputError("Write at least one sentence, such as: the dog on the left")
        if len(found) > self.max_sentences:
            raise InputError(f"{len(found)} sentences, but at most {self.max_sentences} are taken at a time")
        longest = max(found, key=len)
        if len(longest) > self.max_characters:
            raise InputError(f"A sentence has {len(longest)} characters, at most {self.max_characters} are taken")
        return found

    def __str__(self) -> str:
        return (
            f"At most {self.max_frames} frames of {self.max_pixels / 1e6:.1f} megapixels in {self.max_megabytes} MB, "
            f"{self.max_sentences} sentences of {self.max_characters} characters."
        )


def add_web_flags(parser: argparse.ArgumentParser) -> None:
    """--web, where it listens, and its limits."""
    add = parser.add_argument_group("web page").add_argument
    add("--web", action="store_true", help="serve a page in the browser instead; --resume is then tf2_mini by default")
    add("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: every one of this machine")
    add("--port", default=7860, type=int, help="port to listen at; 0: any free one")
    for field in fields(Limits):
        what = field.name.removeprefix("max_")
        add(f"--{field.name}", default=field.default, type=_positive, help=f"most {what} that the page takes")


def limits_from(args: argparse.Namespace) -> Limits:
    """The limits that a command line sets."""
    return Limits(**{field.name: getattr(args, field.name) for field in fields(Limits)})


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, it is {number}")
    return number
