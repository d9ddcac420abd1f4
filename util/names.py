"""Names and numbers out of files that others wrote: whether they may become paths, and what they count."""

from pathlib import PureWindowsPath

LONGEST_NAME = 200  # bytes; file systems take 255, and results add suffixes
LONGEST_NUMBER = 9  # digits; Python refuses to read numbers of thousands of them


def is_safe_name(name: object) -> bool:
    """Whether `name` is one plain path component on every system: no separator, drive, `..` or control character.

    It has LONGEST_NAME bytes at most.
    """
    if not isinstance(name, str) or name in ("", "..") or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
        return False
    return PureWindowsPath(name).name == name  # a path's last part: differs where separators, a drive or "." are in it


def as_number(text: str) -> int | None:
    """The number that plain digits write; None where `text` is something else, or longer than LONGEST_NUMBER."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


def is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON and command lines can hold half characters (lone surrogates)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def printable(text: str) -> str:
    """The text in one line, with escapes such as \\n for what does not print: a terminal obeys some of it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
