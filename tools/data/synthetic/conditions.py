"""What sentences say, as logic: conditions on a thing, and descriptions that join them.

A sentence is kept beside its description, so that it can be checked against the scene (judge.py), word for word.
"""

from __future__ import annotations

from dataclasses import dataclass

SENTENCE_KINDS = ("appearance", "position", "relation", "motion", "order")


@dataclass(frozen=True)
class Noun:
    """It is called so (nouns.py)."""

    word: str


@dataclass(frozen=True)
class Has:
    """An attribute that can be seen: colour, pattern or size."""

    attribute: str
    value: str


@dataclass(frozen=True)
class At:
    """Where it is in the picture, in the first frame ("start") or the last ("end")."""

    place: str
    when: str = "start"


@dataclass(frozen=True)
class Does:
    """How it moves; a key of motion.MANNERS."""

    manner: str


@dataclass(frozen=True)
class Relates:
    """How it stands to another thing, which its own description names alone."""

    relation: str
    other: Description


@dataclass(frozen=True)
class Ranks:
    """It is number `place` (from 0) of the `of` things that the other conditions leave, ordered `by` something."""

    by: str
    place: int
    of: int


Condition = Noun | Has | At | Does | Relates | Ranks


@dataclass(frozen=True)
class Description:
    """All conditions hold. The last one is decisive: without it more than one thing is described."""

    conditions: tuple[Condition, ...]

    @property
    def decisive(self) -> Condition:
        return self.conditions[-1]

    @property
    def without_decisive(self) -> Description:
        return Description(self.conditions[:-1])

    @property
    def noun(self) -> str:
        """The word that the sentence calls the thing."""
        return next((c.word for c in self.conditions if isinstance(c, Noun)), "one")

    @property
    def asked(self) -> str:
        """The one thing asked, finer than `kind`: "colour", "left", "behind", ..."""
        match self.decisive:
            case Noun():
                return "kind"
            case Has(attribute=name) | Does(manner=name) | Relates(relation=name) | Ranks(by=name):
                return name
            case At(place=name, when=when):
                return f"{name} at the {when}"

    @property
    def kind(self) -> str:
        """One of SENTENCE_KINDS."""
        match self.decisive:
            case Noun() | Has():
                return "appearance"
            case At():
                return "position"
            case Does() | Ranks(by="speed"):
                return "motion"
            case Relates() | Ranks(by="size"):
                return "relation"
            case Ranks():
                return "order"
