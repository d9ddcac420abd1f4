"""Which object is pasted into which clip: endless seeded orders in which nothing comes twice before all were used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from .subjects import Subject
from .words import deciding, without_sides

PAIR, TWIN = "pair", "twin"


@dataclass(frozen=True)
class Plan:
    """A clip to be made, and all chance in it: `seed`.

    host_sentences, pasted_sentences   those that can be used of each
    """

    name: str
    kind: str
    host: Subject
    donor: Subject
    host_sentences: tuple[str, ...]
    pasted_sentences: tuple[str, ...]
    seed: tuple[int, ...]


def pair_plans(subjects: Sequence[Subject], seed: int) -> Iterator[Plan]:
    """Objects of two videos that sentences tell apart (`words`); ends only where there are none.

    Every ordered pair (host, donor) comes once before any comes again, and all objects come equally often.
    """
    rng = np.random.default_rng((seed, 0))
    numbers = count()
    used = -1
    while used:
        used = 0
        order = [subjects[index] for index in rng.permutation(len(subjects))]
        for step in 1 + rng.permutation(len(order) - 1):
            for host, donor in zip(order, order[step:] + order[:step], strict=True):
                sentences = _telling_apart(host, donor)
                if sentences is not None:
                    number, used = next(numbers), used + 1
                    yield Plan(f"{PAIR}_{number:06d}", PAIR, host, donor, *sentences, (seed, 0, number))


def twin_plans(subjects: Sequence[Subject], seed: int) -> Iterator[Plan]:
    """Every object with itself."""
    rng = np.random.default_rng((seed, 1))
    numbers = count()
    while True:
        for index in rng.permutation(len(subjects)):
            subject, number = subjects[index], next(numbers)
            sentences = tuple(without_sides(subject.sentences)) or subject.sentences
            yield Plan(f"{TWIN}_{number:06d}", TWIN, subject, subject, sentences, sentences, (seed, 1, number))


def _telling_apart(host: Subject, donor: Subject) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The sentences of each that do not hold for the other; None where one has none, or they are of one category."""
    if host.video == donor.video or (host.category and host.category == donor.category):
        return None
    of_host = deciding(host.sentences, donor.occurring)
    of_donor = deciding(donor.sentences, host.occurring_in_video)
    # It gets another place and another way: what is said of its side no longer holds.
    of_donor = without_sides(of_donor) or of_donor
    return (tuple(of_host), tuple(of_donor)) if of_host and of_donor else None
