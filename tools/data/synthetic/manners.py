"""How things were seen to move, judged by what is in the picture and not by what was planned.

Every judgement has two thresholds: 1 surely, -1 surely not, 0 what lies between; no sentence rests on a 0. n things,
T frames; places are shares of the picture's width and height.
"""

import numpy as np

from .silhouettes import Facts

PRESENT, ABSENT = 0.6, 0.02  # share of a thing's box that is in the picture
LATE = 0.25  # share of the frames, at the end


def verdict(yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """1 where `yes`, -1 where `no`, else 0; int8."""
    return np.where(yes, 1, np.where(no, -1, 0)).astype(np.int8)


def judge_manners(facts: Facts) -> dict[str, np.ndarray]:
    """Manner (a key of motion.MANNERS) → verdict of each thing, [n]."""
    return {**_ways(facts), **_pauses(facts), **_passages(facts), **_changes(facts)}


def first_frame_present(facts: Facts) -> np.ndarray:
    """[n] the first frame that shows most of the thing; T where there is none."""
    present = facts.inside > PRESENT
    return np.where(present.any(axis=1), present.argmax(axis=1), present.shape[1])


def last_frame_present(facts: Facts) -> np.ndarray:
    """[n] the last frame that shows most of the thing; -1 where there is none."""
    present = facts.inside[:, ::-1] > PRESENT
    return np.where(present.any(axis=1), present.shape[1] - 1 - present.argmax(axis=1), -1)


def path_lengths(facts: Facts) -> np.ndarray:
    """[n, T - 1] ways gone from frame to frame."""
    return np.linalg.norm(np.diff(facts.scene, axis=1), axis=2)


def frames_to_rest(facts: Facts) -> np.ndarray:
    """[n] the last step in which a thing moves; -1 where it never does."""
    moving = path_lengths(facts)[:, ::-1] > 0.004
    return np.where(moving.any(axis=1), moving.shape[1] - 1 - moving.argmax(axis=1), -1)


def extent(facts: Facts) -> np.ndarray:
    """[n] the larger side of the box that a thing's centre moves in."""
    return np.ptp(facts.scene, axis=1).max(axis=1)


def _farthest(values: np.ndarray) -> np.ndarray:
    """[n] the most that `values` [n, T] ever rises from an earlier frame to a later one."""
    return (values - np.minimum.accumulate(values, axis=1)).max(axis=1)


def _ways(facts: Facts) -> dict[str, np.ndarray]:
    verdicts = {}
    for axis, sign, manner in ((0, -1, "left"), (0, 1, "right"), (1, -1, "rises"), (1, 1, "falls")):
        along = sign * facts.scene[..., axis]
        gone, back = _farthest(along), _farthest(-along)
        seen = sign * (facts.view[:, -1, axis] - facts.view[:, 0, axis])
        verdicts[manner] = verdict((gone >= 0.2) & (back <= 0.03) & (seen >= 0.1), gone <= 0.06)
    gone, back = _farthest(facts.scene[..., 0]), _farthest(-facts.scene[..., 0])
    less = np.minimum(gone, back)
    reversals = _reversals(facts.scene[..., 0], 0.03)
    verdicts["turns"] = verdict((less >= 0.12) & (reversals == 1) & (facts.inside.min(axis=1) > PRESENT), less <= 0.03)
    return verdicts


def _reversals(values: np.ndarray, least: float) -> np.ndarray:
    """[n] how often `values` [n, T] turn back by at least `least`."""
    counts = []
    for series in values:
        count, way, far = 0, 0, series[0]
        for value in series:
            if way == 0 and abs(value - far) >= least:
                way, far = np.sign(value - far), value
            elif way and (value - far) * way > 0:
                far = value
            elif way and (far - value) * way >= least:
                count, way, far = count + 1, -way, value
        counts.append(count)
    return np.array(counts)


def _pauses(facts: Facts) -> dict[str, np.ndarray]:
    steps = path_lengths(facts)
    total, far = steps.sum(axis=1), extent(facts)
    few = max(round(steps.shape[1] * LATE), 1)
    stays = facts.inside.min(axis=1) > PRESENT
    verdicts = {"still": verdict(_does_nothing(facts, far), _does_something(facts, far))}
    for manner, busy, idle, there in (
        ("stops", steps[:, :few], steps[:, -few:], facts.inside[:, -1] > PRESENT),
        ("starts", steps[:, -few:], steps[:, :few], stays),
    ):
        yes = (busy.sum(axis=1) >= 0.05) & (idle.sum(axis=1) <= 0.01) & (far >= 0.15) & there
        verdicts[manner] = verdict(yes, (idle.sum(axis=1) >= 0.04) | (total <= 0.04) | ~there)
    return verdicts


def _does_nothing(facts: Facts, far: np.ndarray) -> np.ndarray:
    growth = facts.height.max(axis=1) / facts.height.min(axis=1)
    return (far <= 0.02) & (growth <= 1.05) & (np.ptp(facts.turn, axis=1) <= 0.4) & (facts.inside.min(axis=1) > PRESENT)


def _does_something(facts: Facts, far: np.ndarray) -> np.ndarray:
    growth = facts.height.max(axis=1) / facts.height.min(axis=1)
    return (far >= 0.09) | (growth >= 1.35) | (np.ptp(facts.turn, axis=1) >= 2.5)


def _passages(facts: Facts) -> dict[str, np.ndarray]:
    """Out of the picture and into it."""
    frames = np.arange(facts.inside.shape[1])
    present, absent = facts.inside > PRESENT, facts.inside < ABSENT
    first, last = first_frame_present(facts), last_frame_present(facts)
    goes = (absent & (frames > first[:, None])).any(axis=1)
    comes = (absent & (frames < last[:, None])).any(axis=1)
    between = (absent & (frames > first[:, None]) & (frames < last[:, None])).any(axis=1)
    since, until = frames >= first[:, None], frames <= last[:, None]
    never_goes = np.where(since, facts.inside, 1).min(axis=1) > PRESENT
    never_comes = np.where(until, facts.inside, 1).min(axis=1) > PRESENT
    there = present.any(axis=1)
    settled = (goes | never_goes) & (comes | never_comes)
    return {
        "leaves": verdict(there & goes & absent[:, -1] & present[:, 0] & ~between, there & never_goes),
        "enters": verdict(there & comes & absent[:, 0] & present[:, -1] & ~between, there & never_comes),
        "returns": verdict(between & present[:, 0] & present[:, -1], there & ~between & settled),
    }


def _changes(facts: Facts) -> dict[str, np.ndarray]:
    """Nearing, spinning, hopping."""
    growth = facts.height[:, -1] / facts.height[:, 0]
    turned, far = np.ptp(facts.turn, axis=1), extent(facts)
    arcs, rise = _reversals(facts.scene[..., 1], 0.04), np.ptp(facts.scene[..., 1], axis=1)
    return {
        "nears": verdict(growth >= 1.45, growth <= 1.12),
        "recedes": verdict(growth <= 1 / 1.45, growth >= 1 / 1.12),
        "spins": verdict((turned >= 1.5 * np.pi) & (far <= 0.1), turned <= 0.5),
        "hops": verdict((arcs >= 3) & (rise >= 0.05), (rise <= 0.025) | (arcs == 0)),
    }
