"""All words that a sentence of the set can hold, for whoever trains a tokenizer on it."""

import re
from collections.abc import Iterator

from . import phrases
from .nouns import ANYTHING, GROUPS, NOUNS, plural

NOT_SAID = ("COLOURS", "GAIT")  # tables of names, not of phrases
ADDED = ("an", "left", "right")  # what the code says itself


def vocabulary() -> list[str]:
    """Words in lower case, sorted; a test holds every construction against it."""
    nouns = [*(noun for nouns in NOUNS.values() for noun in nouns), *GROUPS, *ANYTHING]
    tables = [table for name, table in vars(phrases).items() if name.isupper() and name not in NOT_SAID]
    text = " ".join([*_strings(tables), *nouns, *map(plural, nouns), *ADDED])
    return sorted(set(re.sub(r"\{\w+\}", " ", text).split()))


def _strings(table: object) -> Iterator[str]:
    if isinstance(table, str):
        yield table
    elif isinstance(table, dict | list | tuple):
        for value in table.values() if isinstance(table, dict) else table:
            yield from _strings(value)
