"""Which frames of a video make a clip (spec §3, Clips). Pure: positions in, positions out, all chance from `rng`."""

import numpy as np

FARTHEST_NEIGHBOUR = 3  # frames that the clip's two close neighbours lie from its start, at most


def clip_starts(length: int, num_frames: int) -> range:
    """Positions where the clips of a video of `length` frames start: every `num_frames`-th (spec §3)."""
    return range(0, length, num_frames)


def sample_clip(length: int, start: int, num_frames: int, rng: np.random.Generator) -> list[int]:
    """Draw a clip's frames: positions in [0, length), sorted, `start` among them (spec §3, Clips).

    The start, one frame 1–3 before it, one 1–3 after it (both clamped to the video, so that at its ends the start may
    appear twice), and others from farther away. A clip of two frames, of which the release knows nothing, is the start
    and one of the two neighbours, whichever exists or either by chance.

    Raises:
        ValueError: `num_frames` is not positive, or `start` is outside the video.
    """
    if num_frames < 1 or not 0 <= start < length:
        raise ValueError(f"no clip of {num_frames} frames starts at {start} in a video of {length}")
    if num_frames == 1:
        return [start]
    before = max(start - int(rng.integers(1, FARTHEST_NEIGHBOUR + 1)), 0)
    after = min(start + int(rng.integers(1, FARTHEST_NEIGHBOUR + 1)), length - 1)
    if num_frames == 2:
        others = [position for position in (before, after) if position != start] or [start]
        return sorted([start, others[rng.integers(len(others))]])
    return sorted([before, start, after, *_farther(length, before, after, num_frames - 3, rng)])


def _farther(length: int, before: int, after: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """`wanted` positions outside the span before…after, or from the whole video where there are too few."""
    outside = [*range(before), *range(after, length)]  # the span's last frame counts as outside, as in the release
    if len(outside) > wanted:
        return rng.choice(outside, wanted, replace=False).tolist()
    # Every frame as often as it fits, then the remainder: none repeats before all are there.
    times, remainder = divmod(wanted, length)
    return [*range(length)] * times + rng.choice(length, remainder, replace=False).tolist()
