"""Pasting an object into a frame: pixels, places and light."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.data.pasting import PastePath, compose
from tools.data.pasting.compose import colour_table


def square(left, top, side=20, size=(60, 90)):
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def still(mask, shift, cut=None, **options):
    """One frame: host noise with `mask`, donor noise with an object (a square at (30, 10)), moved by `shift`."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 60, 90, 3), dtype=np.uint8)
    cut = square(30, 10) if cut is None else cut
    path = PastePath(
        np.array([0]), np.array([shift], float), **({"scale": 1.0, "flip": False, "in_front": True} | options)
    )
    ((frame, labels),) = compose(noise[:1], [mask], noise[1:], [cut], path)
    return noise[0], noise[1], frame, labels


def test_pixels_are_the_donors_where_its_mask_is_and_the_hosts_elsewhere():
    host, donor, frame, labels = still(square(0, 40), (12, 20))
    assert np.array_equal(frame[33:47, 45:59], colour_table(donor, host)[0][donor[13:27, 33:47], [0, 1, 2]])
    far = np.ones(host.shape[:2], bool)
    far[25:55, 37:67] = False
    assert np.array_equal(frame[far], host[far])
    assert (labels[31:49, 43:61] == 2).all() and not (labels[far] == 2).any()
    assert (labels == 1).sum() == 400


def test_a_mirrored_object():
    cut = square(30, 10) & ~square(40, 20)  # its lower right quarter is missing
    host, donor, frame, labels = still(square(0, 40), (89, 0), cut, flip=True)
    mirrored = colour_table(donor, host)[0][donor[:, ::-1], [0, 1, 2]]
    assert np.array_equal(frame[13:17, 43:57], mirrored[13:17, 43:57])
    assert ((labels == 2) != cut[:, ::-1]).sum() < 20


@pytest.mark.parametrize("in_front", [True, False])
def test_who_is_in_front(in_front):
    mask = square(35, 15)
    host, _, frame, labels = still(mask, (0, 0), in_front=in_front)
    both = mask & square(30, 10)
    assert ((labels == 2)[both].mean() > 0.9) == in_front
    assert (labels[mask] == 1).all() == (not in_front)
    assert np.array_equal(frame[mask], host[mask]) == (not in_front)
    assert (labels[mask & ~square(28, 8, 24)] == 1).all()


def test_other_objects_of_the_host_hide_too_and_are_not_in_the_result():
    mask = square(0, 40).astype(np.uint8) + 2 * square(35, 15)
    host, _, frame, labels = still(mask, (0, 0), in_front=False)
    assert np.array_equal(frame[mask == 2], host[mask == 2])
    assert not labels[mask == 2].any() and (labels[mask == 1] == 1).all()


def test_outside_of_the_frame_nothing_happens():
    host, _, frame, labels = still(square(0, 40), (500, 0))
    assert np.array_equal(frame, host) and set(np.unique(labels)) == {0, 1}


@given(scale=st.floats(0.3, 3), x=st.floats(-80, 120), y=st.floats(-60, 80), flip=st.booleans(), in_front=st.booleans())
@settings(max_examples=60, deadline=None)
def test_anywhere_the_mask_has_the_size_and_place_that_the_path_says(scale, x, y, flip, in_front):
    mask = square(60, 30)
    host, _, frame, labels = still(mask, (x, y), scale=scale, flip=flip, in_front=in_front)
    ends = x + scale * np.array([30, 50]) * (-1 if flip else 1)
    columns = np.arange(90) + 0.5
    slack = 1 + scale / 2  # a pixel of the frame, and half a one of the donor
    within = (columns > ends.min() - slack) & (columns < ends.max() + slack)
    assert not (labels == 2)[:, ~within].any()
    unclipped = ends.min() > 2 and ends.max() < 88 and y + scale * 10 > 2 and y + scale * 30 < 58
    if unclipped and in_front:
        assert np.sqrt((labels == 2).sum()) == pytest.approx(20 * scale, abs=2)
    assert ((labels == 1) <= mask).all()
    assert frame.dtype == np.uint8 and frame.shape == host.shape


def test_light_is_matched_part_of_the_way_and_black_stays_black():
    dark, bright = (np.random.default_rng(0).integers(0, top, (20, 20, 3), dtype=np.uint8) for top in (100, 200))
    table = colour_table(dark, bright)[0]
    assert dark.mean() < table[dark].mean() < bright.mean()
    assert np.ptp(table[0]) == 0 and (np.diff(table.astype(int), axis=0) >= 0).all()
    assert np.array_equal(colour_table(dark, dark)[0], np.repeat(np.arange(256)[:, None], 3, axis=1))


def test_the_host_getting_brighter_does_not_make_the_object_flicker():
    black, donor = np.zeros((60, 90, 3), np.uint8), np.full((60, 90, 3), 100, np.uint8)
    path = PastePath(np.array([0, 0]), np.zeros((2, 2)), 1.0, False, True)
    none = np.zeros((60, 90), bool)
    (first, _), (second, _) = compose([black + 50, black + 200], [none, none], [donor], [square(30, 10)], path)
    assert first[20, 40, 0] == second[20, 40, 0] < 100


# --- ways ------------------------------------------------------------------------------------------------------------
