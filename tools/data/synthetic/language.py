"""Sentences: a description is put into words by a grammar with synonyms and several constructions (phrases.py)."""

import re

import numpy as np

from .conditions import At, Description, Does, Ranks, Relates
from .naming import appearance_of, name_of, pick
from .nouns import ANYTHING, GROUPS, plural
from .phrases import (
    BETWEEN,
    COUNTS,
    ENDS,
    FORMS,
    GAIT,
    MOTIONS,
    OF_TWO,
    ORDINALS,
    PLACES,
    RELATIONS,
    VERBS,
    WHEN,
)

DRAFTS = 6  # of which the first of natural length is taken
NATURAL = range(3, 16)  # words


def put_into_words(rng: np.random.Generator, description: Description, kind: str) -> str:
    """A sentence that says the description; `kind` is that of the thing, for its verb."""
    drafts = [_construct(rng, description, kind) for _ in range(DRAFTS)]
    sentence = next((draft for draft in drafts if len(draft.split()) in NATURAL), drafts[0])
    sentence = re.sub(r"\ba (?=[aeiou])", "an ", sentence)
    return sentence[0].upper() + sentence[1:] if rng.random() < 0.05 else sentence


def _construct(rng: np.random.Generator, description: Description, kind: str) -> str:
    match description.decisive:
        case Ranks() as ranks:
            return _ranked(rng, ranks, description)
        case At() | Does() | Relates() as condition:
            rest = _rest(rng, condition, description.noun, kind)
            return pick(rng, FORMS).format(name=name_of(rng, description), rest=rest)
    return appearance_of(rng, description)


def _rest(rng: np.random.Generator, condition: At | Does | Relates, noun: str, kind: str) -> str:
    match condition:
        case At(place, when):
            return pick(rng, WHEN[when]).format(place=pick(rng, PLACES[place]))
        case Does(manner):
            phrase, other = pick(rng, MOTIONS[manner]), ""
        case Relates(relation, anchor):
            phrase = pick(rng, RELATIONS[relation])
            other = f"the {name_of(rng, anchor)}"
    gait = GAIT.get(kind, "slide") if rng.random() < 0.75 and noun not in (*ANYTHING, *GROUPS) else "move"
    v, ving = VERBS[gait][rng.integers(len(VERBS[gait]))]
    return phrase.format(v=v, ving=ving, other=other)


def _ranked(rng: np.random.Generator, ranks: Ranks, description: Description) -> str:
    name, names = name_of(rng, description), name_of(rng, description, plural(description.noun))
    end = {0: "first", ranks.of - 1: "last"}.get(ranks.place)
    if end is None or (ranks.by == "x" and rng.random() < 0.4):
        behind = ranks.of - 1 - ranks.place
        side = "left" if ranks.place < behind or (ranks.place == behind and rng.random() < 0.5) else "right"
        number = min(ranks.place, behind)
        return pick(rng, BETWEEN).format(ordinal=ORDINALS[number], name=name, side=side)
    options = OF_TWO.get((ranks.by, end), ()) if ranks.of == 2 else ()
    return pick(rng, options or ENDS[ranks.by, end]).format(name=name, names=names, count=COUNTS[ranks.of])
