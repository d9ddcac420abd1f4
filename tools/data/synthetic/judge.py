"""Whether a description is true of a thing, by the facts of its scene.

Verdicts are 1 (yes), -1 (no) and 0 (one may doubt it). A sentence is only good where it is 1 for one thing and -1 for
all others: nobody has to split hairs.
"""

from functools import cached_property

import numpy as np

from .conditions import At, Condition, Description, Does, Has, Noun, Ranks, Relates
from .manners import (
    PRESENT,
    extent,
    first_frame_present,
    frames_to_rest,
    judge_manners,
    last_frame_present,
    path_lengths,
    verdict,
)
from .nouns import true_of
from .scene import ATTRIBUTES, Look
from .silhouettes import Facts

NAMED_AREA = 0.003  # a thing that a sentence names covers so much of the picture,
NAMED_FRAMES = 1 / 3  # in this share of the frames
# Ranked by these, places are only given where neighbours differ by this much.
MARGINS = {"x": 0.06, "enters": 2.0, "leaves": 2.0, "stops": 2.0, "size": np.log(1.3), "speed": np.log(1.5)}


class Judge:
    """Answers for one scene of n things; conditions are judged once.

    Places are those of the first frame and the last; with `picture`, of that frame alone.
    """

    def __init__(self, looks: tuple[Look, ...], facts: Facts, picture: int | None = None):
        self.looks, self.facts = looks, facts
        self.first, self.last = (0, -1) if picture is None else (picture, picture)
        self._verdicts: dict[Condition, np.ndarray] = {}

    def truth(self, description: Description) -> np.ndarray:
        """Verdict for each thing, [n] int8."""
        filters = [c for c in description.conditions if not isinstance(c, Ranks)]
        truth = np.minimum.reduce([np.ones(len(self.looks), np.int8), *map(self.holds, filters)])
        for ranks in (c for c in description.conditions if isinstance(c, Ranks)):
            truth = self._ranked(truth, ranks)
        return truth

    def names(self, description: Description) -> int | None:
        """The number of the one thing that it is true of; None where there is none, several, or a doubt."""
        truth = self.truth(description)
        return int(truth.argmax()) if (truth == 1).sum() == 1 and (truth == -1).sum() == len(truth) - 1 else None

    def needs_decisive(self, description: Description) -> bool:
        """Whether something else would be meant too without the decisive condition."""
        return (self.truth(description.without_decisive) == 1).sum() > 1

    def has_distractor(self, description: Description, thing: int) -> bool:
        """Whether another thing differs from `thing` in what is asked, and in nothing else that the sentence says.

        Where the look is asked, the other thing has exactly one other attribute: that one.
        """
        if description.kind != "appearance":
            return self.needs_decisive(description)
        asked = description.asked
        return any(_differences(self.looks[thing], other) == [asked] for other in self.looks)

    def holds(self, condition: Condition) -> np.ndarray:
        """Verdict for each thing, [n] int8; not for Ranks, which depends on the rest of its description."""
        if condition not in self._verdicts:
            self._verdicts[condition] = self._judged(condition)
        return self._verdicts[condition]

    @cached_property
    def nameable(self) -> np.ndarray:
        """[n] bool: seen long and large enough."""
        return (self.facts.area >= NAMED_AREA).mean(axis=1) >= NAMED_FRAMES

    @cached_property
    def manners(self) -> dict[str, np.ndarray]:
        """Verdicts on how things move."""
        return judge_manners(self.facts)

    @property
    def _keeps_size(self) -> np.ndarray:
        return (self.manners["nears"] == -1) & (self.manners["recedes"] == -1)

    def _judged(self, condition: Condition) -> np.ndarray:
        match condition:
            case Noun(word):
                return np.array([true_of(word, look.kind) for look in self.looks], np.int8)
            case Has(attribute, value):
                truth = np.array([_has(look, attribute, value) for look in self.looks], np.int8)
                return np.where(self._keeps_size, truth, 0).astype(np.int8) if attribute == "size" else truth
            case At(place, when):
                return self._at(place, self.first if when == "start" else self.last)
            case Does(manner):
                return self.manners[manner]
            case Relates(relation, other):
                return self._relates(relation, other)
        raise ValueError(f"{condition} cannot be judged alone")

    def _seen(self, frame: int) -> np.ndarray:
        """Verdict: wholly enough in this frame."""
        facts = self.facts
        shown = facts.area[:, frame] / np.maximum(facts.whole[:, frame], 1e-9)
        return verdict((facts.inside[:, frame] > PRESENT) & (shown > 0.5), facts.area[:, frame] == 0)

    def _at(self, place: str, frame: int) -> np.ndarray:
        axis = 0 if place in ("left", "right", "middle") else 1
        along = self.facts.view[:, frame, axis]
        if place == "middle":
            where = verdict(abs(along - 0.5) <= 0.1, abs(along - 0.5) >= 0.2)
        else:
            away = along if place in ("left", "top") else 1 - along
            where = verdict(away <= 0.4, away >= 0.5)
        return np.minimum(where, self._seen(frame))

    def _relates(self, relation: str, other: Description) -> np.ndarray:
        anchor = self.names(other)
        if anchor is None or not self.nameable[anchor]:
            return np.zeros(len(self.looks), np.int8)
        if relation in ("behind", "front", "hides"):
            truth = self._passes(relation, anchor)
        else:
            seen = self._seen(self.first)
            truth = np.minimum(self._stands(relation, anchor), seen)
            truth = truth if seen[anchor] == 1 else np.zeros_like(truth)
        truth[anchor] = -1
        return truth

    def _stands(self, relation: str, anchor: int) -> np.ndarray:
        """Side by side, or one above the other, in the first frame."""
        dx, dy = (self.facts.view[:, self.first] - self.facts.view[anchor, self.first]).T
        if relation == "near":
            tall = self.facts.labels.shape[1] / self.facts.labels.shape[2]
            distance = np.hypot(dx, dy * tall)
            return verdict(distance <= 0.24, distance >= 0.42)
        if relation in ("left of", "right of"):
            way = -dx if relation == "left of" else dx
            return verdict((way >= 0.1) & (abs(dy) <= 0.4), way <= 0.02)
        way = -dy if relation == "above" else dy
        return verdict((way >= 0.17) & (abs(dx) <= 0.12), (way <= 0.04) | (abs(dx) >= 0.24))

    def _passes(self, relation: str, anchor: int) -> np.ndarray:
        """One covers a good part of the other for a while, and the one that passes moves."""
        covered = self.facts.covered.max(axis=2)
        overlap = covered[:, anchor] if relation == "behind" else covered[anchor]
        moves = extent(self.facts) >= 0.12
        passing = moves[anchor] if relation == "hides" else moves
        return verdict((overlap >= 0.25) & passing, overlap <= 0.02)

    def _ranked(self, truth: np.ndarray, ranks: Ranks) -> np.ndarray:
        values, known = self._values(ranks.by)
        if ranks.by in self.manners:
            truth = np.minimum(truth, self.manners[ranks.by])
        among = np.flatnonzero(truth == 1)
        if (truth == 0).any() or len(among) != ranks.of or not known[among].all():
            return np.zeros_like(truth)
        order = among[np.argsort(values[among], kind="stable")]
        # How the others are ordered among themselves does not matter.
        gaps = np.diff(values[order])[max(ranks.place - 1, 0) : ranks.place + 1]
        if (gaps < MARGINS[ranks.by]).any():
            return np.zeros_like(truth)
        ranked = np.full_like(truth, -1)
        ranked[order[ranks.place]] = 1
        return ranked

    def _values(self, by: str) -> tuple[np.ndarray, np.ndarray]:
        """What things are ordered by, [n], and whether it is known, [n]."""
        facts, sure = self.facts, np.ones(len(self.looks), bool)
        if by == "x":
            return facts.view[:, self.first, 0], self._seen(self.first) == 1
        if by == "enters":
            return first_frame_present(facts).astype(float), sure
        if by == "leaves":
            return last_frame_present(facts).astype(float), sure
        if by == "stops":
            return frames_to_rest(facts).astype(float), sure
        if by == "size":
            return np.log(np.median(facts.height, axis=1)), self._keeps_size
        moving = (self.manners["left"] == 1) | (self.manners["right"] == 1)
        return np.log(path_lengths(facts).mean(axis=1) + 1e-6), moving & (facts.inside.min(axis=1) > PRESENT)


def frames_that_tell(judge: Judge, description: Description, thing: int) -> list[int]:
    """The frames that as pictures, without the others, show that `thing` is meant; none where motion decides."""
    if not all(_is_seen_in_a_picture(condition) for condition in description.conditions):
        return []
    shown = np.flatnonzero(judge.facts.area[thing] > 0).tolist()
    return [t for t in shown if Judge(judge.looks, judge.facts, picture=t).names(description) == thing]


def _is_seen_in_a_picture(condition: Condition) -> bool:
    match condition:
        case Does() | Ranks(by="enters" | "leaves" | "stops" | "speed") | Relates("behind" | "front" | "hides"):
            return False
    return True


def _has(look: Look, attribute: str, value: str) -> int:
    own = getattr(look, attribute)
    # Fur and metal are of one colour: some would call them plain.
    if value == "plain" and own in ("furry", "shiny"):
        return 0
    return 1 if own == value else -1


def _differences(one: Look, other: Look) -> list[str]:
    return [name for name in ATTRIBUTES if getattr(one, name) != getattr(other, name)]
