"""J and F: cases computed by hand, the plain definition on made-up masks, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from davis2017.label_map import Boundary, LabelMap
from davis2017.metrics import (
    boundary_accuracies,
    boundary_accuracy,
    region_similarities,
    region_similarity,
    tolerance_radius,
)
from tools.bench.plain_scores import plain_boundary, plain_f, plain_j

SIZE = (40, 60)


def rectangle(top, left, bottom, right, size=SIZE):
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


EMPTY = rectangle(0, 0, 0, 0)


def test_a_case_computed_by_hand():
    """Squares of 10 × 10, one moved by 5 columns: an intersection of 50, a union of 150."""
    ours, true = rectangle(10, 15, 20, 25), rectangle(10, 10, 20, 20)
    assert region_similarity(ours, true) == 50 / 150
    # The true boundary: rows 9 and 19 at columns 9–19, and columns 9 and 19 between them. Ours is 5 columns on.
    assert plain_boundary(true).sum() == 2 * 11 + 2 * 9
    # ⌈0.008 · √(40² + 60²)⌉ = 1, so near is the same pixel or one beside it. Of our rows, columns 14–19 are the same
    # and 20 is beside; of our column 14, only its first and last pixel are beside a true row. And the other way round.
    assert tolerance_radius(*SIZE) == 1
    assert boundary_accuracy(ours, true) == pytest.approx((2 * 7 + 2) / 40)


def test_the_edge_of_the_image_is_no_boundary():
    everything = ~EMPTY
    assert LabelMap(everything.astype(np.uint8), 1, 1).boundary.rows.size == 0
    assert boundary_accuracy(everything, EMPTY) == 1
    assert region_similarity(everything, EMPTY) == 0
    corner = LabelMap(rectangle(30, 50, *SIZE).astype(np.uint8), 1, 1).boundary
    assert (corner.rows.min(), corner.rows.max(), corner.columns.min(), corner.columns.max()) == (29, 39, 49, 59)


def test_empty_masks():
    assert region_similarity(EMPTY, EMPTY) == boundary_accuracy(EMPTY, EMPTY) == 1
    some = rectangle(5, 5, 9, 9)
    for pair in ((EMPTY, some), (some, EMPTY)):
        assert region_similarity(*pair) == boundary_accuracy(*pair) == 0


def test_the_tolerance_is_a_disk():
    ours, true = np.zeros((2, 100, 100), dtype=bool)
    ours[50, 50], true[50 + 3, 50 + 4] = True, True  # their boundaries are 5 pixels apart, and alike
    radius_5, below = 5 / np.hypot(100, 100), 4 / np.hypot(100, 100)
    assert boundary_accuracy(ours, true, tolerance=radius_5 * 0.999) == 1
    assert 0 < boundary_accuracy(ours, true, tolerance=below * 0.999) < 1


@pytest.mark.parametrize(("height", "width", "radius"), [(480, 854, 8), (1080, 1920, 18), (10, 10, 1)])
def test_radius_of_the_tolerance(height, width, radius):
    assert tolerance_radius(height, width) == radius


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"one size.*\(40, 60\), \(40, 61\)"):
        region_similarity(EMPTY, np.zeros((40, 61), dtype=bool))
    with pytest.raises(ValueError, match="one size"):
        boundary_accuracy(EMPTY, EMPTY, void=np.zeros((1, 60), dtype=bool))


@st.composite
def label_maps(draw, number=2, most=20):
    """Maps of one size with ids up to `most`, in patches, so that boundaries have an inside."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=14))
    ids = st.integers(0, most) | st.just(0)
    patch = np.ones((draw(st.integers(1, 4)),) * 2, dtype=np.uint8)
    return [np.kron(draw(arrays(np.uint8, shape, elements=ids)), patch) for _ in range(number)]


masks = label_maps(3, 1).map(lambda maps: [labels.astype(bool) for labels in maps])


@settings(max_examples=60, deadline=None)
@given(label_maps())
def test_all_pairs_at_once_are_each_pair_and_the_definition(maps):
    ours, true = (LabelMap(labels, int(labels.max()) + 1, tolerance_radius(*labels.shape)) for labels in maps)
    regions, boundaries = region_similarities(ours, true), boundary_accuracies(ours, true)
    assert regions.shape == boundaries.shape == (ours.count, true.count)
    for p in range(ours.count):
        for o in range(true.count):
            pair = ours.ids == p + 1, true.ids == o + 1
            assert regions[p, o] == region_similarity(*pair) == plain_j(*pair)
            assert boundaries[p, o] == boundary_accuracy(*pair) == plain_f(*pair)


@settings(max_examples=60, deadline=None)
@given(label_maps(1, 3), st.integers(0, 9))
def test_what_is_near_is_within_the_disk(maps, radius):
    labels = LabelMap(maps[0], 3, radius)
    everywhere = np.indices(labels.ids.shape).reshape(2, -1)
    near = np.unpackbits(labels.near(Boundary(*everywhere, None)), axis=1)[:, :3]
    for number in range(3):
        on = np.argwhere(plain_boundary(labels.ids == number + 1))
        squares = ((everywhere.T[:, None] - on[None]) ** 2).sum(axis=2)
        assert (near[:, number] == (squares <= radius**2).any(axis=1)).all()


@settings(max_examples=60, deadline=None)
@given(masks)
def test_both_are_symmetric_and_between_0_and_1(maps):
    for score in (region_similarity, boundary_accuracy):
        assert score(*maps) == pytest.approx(score(maps[1], maps[0], maps[2]), abs=1e-12)
        assert 0 <= score(*maps) <= 1
        assert score(maps[0], maps[0]) == 1


@settings(max_examples=60, deadline=None)
@given(masks, masks)
def test_void_pixels_say_nothing(maps, noise):
    ours, true, void = maps
    other = np.resize(noise[0], void.shape) & void
    for score in (region_similarity, boundary_accuracy):
        assert score(ours ^ other, true, void) == score(ours, true ^ other, void) == score(ours, true, void)
        assert score(ours, true, void) == score(ours & ~void, true & ~void)
