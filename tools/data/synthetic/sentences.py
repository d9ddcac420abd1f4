"""Which sentences a scene gets: all descriptions of a thing are tried, and those kept that the judge finds good."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .conditions import SENTENCE_KINDS, At, Condition, Description, Does, Has, Noun, Ranks, Relates
from .judge import Judge
from .motion import MANNERS
from .nouns import ANYTHING, GROUPS, NOUNS, is_specific
from .scene import Look

PLACES = ("left", "right", "middle", "top", "bottom")
RELATIONS = ("left of", "right of", "above", "below", "near", "behind", "front", "hides")
# How readily a kind is taken: nearly every thing has a position and an order, few a motion of their own.
EAGERNESS = {"appearance": 1.5, "position": 0.6, "relation": 1.0, "motion": 1.8, "order": 0.6}
# Asked already as often as all others together, if things alone decided.
COMMON = ("left", "right", "x", "still", "colour")
RANKS = ("x", "enters", "leaves", "stops", "size", "speed")


@dataclass(frozen=True)
class Referral:
    """A description and the number of the thing that it names."""

    description: Description
    thing: int


def choose_referrals(rng: np.random.Generator, judge: Judge) -> list[Referral]:
    """Two to four descriptions for each of up to three things; an empty list where the scene has no such thing."""
    options = {k: _good_descriptions(rng, judge, k) for k in np.flatnonzero(judge.nameable).tolist()}
    richness = {k: _interest(found) + rng.random() for k, found in options.items() if _can_vary(found)}
    targets = sorted(richness, key=richness.get, reverse=True)[: 2 + int(rng.random() < 0.4)]
    return [Referral(d, k) for k in targets for d in _varied(rng, options[k], 2 + int(rng.integers(3)))]


def simple_referrals(rng: np.random.Generator, judge: Judge, count: int) -> list[Referral]:
    """Up to `count` descriptions of each thing by its looks alone; nothing need be like it, so any word may do."""
    chosen = []
    for thing in np.flatnonzero(judge.nameable).tolist():
        tried = [Description(bundle) for bundle in _bundles(rng, judge.looks[thing])]
        found = [d for d in tried if _names_simply(d) and judge.names(d) == thing]
        order = rng.permutation(len(found))[:count]
        chosen += [Referral(found[k], thing) for k in order]
    return chosen


def _names_simply(description: Description) -> bool:
    """Whether people would say so where nothing else is like it: of sizes nothing, and not "the thing"."""
    sizes = any(isinstance(c, Has) and c.attribute == "size" for c in description.conditions)
    return not sizes and (is_specific(description.noun) or len(description.conditions) > 1)


def is_good(judge: Judge, description: Description, thing: int) -> bool:
    """True of `thing` and of nothing else, and language is needed: a distractor differs in just what is asked."""
    return (
        judge.names(description) == thing
        and judge.needs_decisive(description)
        and judge.has_distractor(description, thing)
    )


def _varied(rng: np.random.Generator, found: Sequence[Description], count: int) -> list[Description]:
    """`count` of them, each of another kind as long as there are kinds, and none asked the same way twice."""
    chosen: dict[Condition, Description] = {}
    eagerness = {kind: rng.random() ** (1 / EAGERNESS[kind]) for kind in SENTENCE_KINDS}
    groups = [[d for d in found if d.kind == kind] for kind in sorted(eagerness, key=eagerness.get, reverse=True)]
    for _ in range(count):
        for group in groups:
            fresh = [d for d in group if d.decisive not in chosen]
            if fresh and len(chosen) < count:
                pick = _rarest_first(rng, fresh)
                chosen[pick.decisive] = pick
    return list(chosen.values())


def _can_vary(found: Sequence[Description]) -> bool:
    return len({d.decisive for d in found}) > 1


def _interest(found: Sequence[Description]) -> int:
    """How many different things can be asked that few other things allow to ask."""
    return len({d.asked for d in found if d.kind != "position" and d.asked not in COMMON})


def _rarest_first(rng: np.random.Generator, found: Sequence[Description]) -> Description:
    """One of them: what scenes often allow to ask is drawn a third as often as the rest."""
    asked = sorted({d.asked for d in found})
    weights = np.array([1.0 if name in COMMON or name.endswith("end") else 3.0 for name in asked])
    name = rng.choice(asked, p=weights / weights.sum())
    options = [d for d in found if d.asked == name]
    return options[rng.integers(len(options))]


def _good_descriptions(rng: np.random.Generator, judge: Judge, thing: int) -> list[Description]:
    decisive = list(_true_conditions(judge, thing))
    found = []
    for bundle in _bundles(rng, judge.looks[thing]):
        tried = [Description((*bundle[:k], *bundle[k + 1 :], bundle[k])) for k in range(len(bundle))]
        tried += [Description((*bundle, condition)) for condition in decisive]
        tried += _rankings(judge, bundle)
        found += [d for d in tried if _is_natural(d) and is_good(judge, d, thing)]
    return found


def _bundles(rng: np.random.Generator, look: Look) -> Iterator[tuple[Condition, ...]]:
    """What a sentence may call the thing: a noun with up to two adjectives."""
    groups = [noun for noun, kinds in GROUPS.items() if look.kind in kinds]
    nouns = [str(rng.choice(NOUNS[look.kind]))]
    if rng.random() < 0.5:
        # Nobody calls a person a thing.
        nouns.append(str(rng.choice(groups if "person" in groups else [*groups, *ANYTHING])))
    adjectives = [Has(name, getattr(look, name)) for name in ("colour", "pattern", "size")]
    for noun in nouns:
        for count in range(3):
            for chosen in combinations(adjectives, count):
                yield (*chosen, Noun(noun))


def _true_conditions(judge: Judge, thing: int) -> Iterator[Condition]:
    """Positions, motions and relations that hold of the thing."""
    options: list[Condition] = [At(place, when) for place in PLACES for when in ("start", "end")]
    options += [Does(manner) for manner in MANNERS]
    anchors = [a for k in range(len(judge.looks)) if k != thing for a in _anchor(judge, k)]
    options += [Relates(relation, anchor) for relation in RELATIONS for anchor in anchors]
    return (condition for condition in options if judge.holds(condition)[thing] == 1)


def _anchor(judge: Judge, thing: int) -> list[Description]:
    """The shortest name of a thing by its looks alone, or nothing."""
    look = judge.looks[thing]
    noun = Noun(NOUNS[look.kind][0])
    tried = ((noun,), (Has("colour", look.colour), noun), (Has("pattern", look.pattern), noun))
    return [d for d in map(Description, tried) if judge.names(d) == thing][:1]


def _rankings(judge: Judge, bundle: tuple[Condition, ...]) -> Iterator[Description]:
    truth = judge.truth(Description(bundle))
    for by in RANKS:
        of = int(((truth == 1) & (judge.manners[by] == 1 if by in judge.manners else True)).sum())
        if of > 1:
            yield from (Description((*bundle, Ranks(by, place, of))) for place in range(of))


def _is_natural(description: Description) -> bool:
    """Whether people would say so."""
    sizes = sum(isinstance(c, Has) and c.attribute == "size" for c in description.conditions)
    match description.decisive:
        case Ranks(by=by, place=place, of=of):
            if by != "x" and 0 < place < of - 1:  # "the second to leave" takes counting; the ends do not
                return False
            sizes += by == "size"
        case Noun(word) if word in ANYTHING or len(description.conditions) == 1:
            return False
    # "The small dog" says that there is a big one, so a size is either what is asked or not said.
    return not sizes or (sizes == 1 and description.asked == "size" and is_specific(description.noun))
