"""Clip sampling: what holds for every length, start and T."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.clip_sampling import clip_starts, sample_clip


@st.composite
def cases(draw, smallest=1, largest_length=60):
    length = draw(st.integers(1, largest_length))
    return length, draw(st.integers(0, length - 1)), draw(st.integers(smallest, 12)), draw(st.integers(0, 2**32))


def near(length, start, seed):
    """The two close neighbours: the first two draws, clamped."""
    rng = np.random.default_rng(seed)
    return max(0, start - rng.integers(1, 4)), min(length - 1, start + rng.integers(1, 4))


@given(cases())
def test_a_clip_is_sorted_of_the_right_length_and_holds_its_start(case):
    length, start, num_frames, seed = case
    clip = sample_clip(length, start, num_frames, np.random.default_rng(seed))
    assert len(clip) == num_frames and clip == sorted(clip) and start in clip
    assert clip[0] >= 0 and clip[-1] < length and all(type(position) is int for position in clip)
    assert clip == sample_clip(length, start, num_frames, np.random.default_rng(seed))


@given(cases(smallest=3))
def test_neighbours_and_where_the_rest_comes_from(case):
    length, start, num_frames, seed = case
    clip = sample_clip(length, start, num_frames, np.random.default_rng(seed))
    before, after = near(length, start, seed)
    for position in (before, start, after):
        clip.remove(position)
    outside = {*range(before), *range(after, length)}
    if len(outside) > num_frames - 3:
        assert set(clip) <= outside and len(set(clip)) == len(clip)
    else:
        counts = np.bincount(clip, minlength=length)
        assert counts.max() - counts.min() <= 1  # none repeats before all are there


@given(cases())
def test_one_and_two_frames(case):
    length, start, _, seed = case
    assert sample_clip(length, start, 1, np.random.default_rng(seed)) == [start]
    pair = sample_clip(length, start, 2, np.random.default_rng(seed))
    pair.remove(start)
    assert pair == [start] if length == 1 else 1 <= abs(pair[0] - start) <= 3


def test_both_sides_and_all_distances_are_drawn():
    rng = np.random.default_rng(0)
    assert {sum(sample_clip(9, 4, 2, rng)) - 4 for _ in range(200)} == {1, 2, 3, 5, 6, 7}


def test_starts():
    assert list(clip_starts(11, 5)) == [0, 5, 10]
    assert list(clip_starts(3, 5)) == [0]
    assert list(clip_starts(3, 1)) == [0, 1, 2]


@pytest.mark.parametrize(("length", "start", "num_frames"), [(5, 5, 3), (5, -1, 3), (0, 0, 1), (5, 0, 0)])
def test_impossible_clips_are_refused(length, start, num_frames):
    with pytest.raises(ValueError, match="no clip"):
        sample_clip(length, start, num_frames, np.random.default_rng(0))
