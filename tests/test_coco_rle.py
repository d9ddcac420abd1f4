"""Run-length codes: what pycocotools writes is taken, and nothing reaches it that it cannot take."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as rle_ops

from util.coco_rle import checked_rle, encoded_masks
from util.errors import InputError
from util.mask_io import MOST_PIXELS

SQUARE = [3, 2, 8, 2, 8, 6, 3, 6]


@settings(max_examples=200, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_every_mask_of_pycocotools_is_accepted(mask):
    checked = checked_rle(encoded_masks(mask[None])[0], mask.shape, "here")
    assert np.array_equal(rle_ops.decode(checked), mask)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
def test_any_text_is_refused_or_covers_the_image(counts):
    try:
        checked = checked_rle({"size": [3, 4], "counts": counts}, (3, 4), "here")
    except InputError:
        return
    assert rle_ops.decode(checked).shape == (3, 4)


def test_several_masks_at_once():
    masks = np.random.default_rng(0).random((5, 7, 9)) > 0.5
    codes = encoded_masks(masks)
    assert all(type(code["counts"]) is str and code["size"] == [7, 9] for code in codes)
    assert np.array_equal([rle_ops.decode(code) for code in codes], masks)


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([1e9, 1, 2, -1e9, 3, 4], "far outside"),
        ([10**400, 1, 2, 3, 3, 4], "far outside"),
        ([float("nan")] * 6, "far outside"),
        ([float("inf")] * 6, "far outside"),
        ([True] * 6, "must be a list x, y"),
        (["1"] * 6, "must be a list x, y"),
        ([1, 1, 5, 5], "three points"),
    ],
)
def test_polygons_that_pycocotools_cannot_take(polygon, message):
    with pytest.raises(InputError, match=f"here: .*{message}"):
        checked_rle([SQUARE, polygon], (10, 10), "here")


def test_polygons_a_little_outside_are_cut_off():
    mask = rle_ops.decode(checked_rle([[-20, 0, 20, 0, 20, 20, -20, 20]], (10, 10), "here"))
    assert mask.all()


@pytest.mark.parametrize("segmentation", [[SQUARE], {"size": [1, 1 << 40], "counts": [1 << 40]}])
def test_sizes_and_runs_beyond_32_bits(segmentation):
    with pytest.raises(InputError, match=f"{MOST_PIXELS} pixels at most"):
        checked_rle(segmentation, (1, 1 << 40), "here")
    with pytest.raises(InputError, match="32 bits"):
        checked_rle({"size": [2, 2], "counts": [1 << 70]}, (2, 2), "here")
