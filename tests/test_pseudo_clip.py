"""Pseudo-clips: views move image and mask together and stay within their bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.pseudo_clip import pseudo_clip, random_affine, random_view


@pytest.fixture
def picture():
    """A bright object on a dark ground, and its mask."""
    mask = np.zeros((120, 160), bool)
    mask[30:90, 50:120] = True
    image = np.where(mask[..., None], np.array([200, 190, 210], np.uint8), np.uint8(60)).astype(np.uint8)
    return image, mask


def test_the_image_itself_is_there_once_at_any_place(picture):
    image, mask = picture
    places = set()
    for seed in range(20):
        frames, masks = pseudo_clip(image, mask, 3, np.random.default_rng(seed))
        assert len(frames) == 3
        assert masks.shape == (3, 120, 160)
        assert masks.dtype == bool
        same = [i for i in range(3) if (frames[i] == image).all() and (masks[i] == mask).all()]
        assert len(same) == 1
        places.add(same[0])
    assert places == {0, 1, 2}


def test_a_clip_of_one_is_the_image(picture):
    frames, masks = pseudo_clip(*picture, 1, np.random.default_rng(0))
    assert (frames[0] == picture[0]).all()
    assert (masks[0] == picture[1]).all()


def test_same_generator_same_clip(picture):
    clips = [pseudo_clip(*picture, 5, np.random.default_rng(7)) for _ in range(2)]
    assert np.array_equal(clips[0][0], clips[1][0])
    assert np.array_equal(clips[0][1], clips[1][1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(24, 90), width=st.integers(24, 90))
def test_the_mask_moves_with_the_object(seed, height, width):
    mask = np.zeros((height, width), bool)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = True
    image = np.where(mask[..., None], 200, 60).astype(np.uint8).repeat(3, axis=2)
    view, moved = random_view(image, mask, np.random.default_rng(seed))
    assert view.shape == image.shape
    assert view.dtype == np.uint8
    # Light changes by 40 at most, blur mixes both near the outline: the means still lie far apart.
    assert view[moved].mean() > view[~moved].mean() + 40
    assert 0.4 < moved.sum() / mask.sum() < 2


def test_views_differ_in_place_and_colour(picture):
    image, mask = picture
    views = [random_view(image, mask, np.random.default_rng(seed)) for seed in range(40)]
    tops = [np.flatnonzero(moved.any(1))[0] for _, moved in views]
    inside = np.array([np.median(view[moved], axis=0) for view, moved in views])
    assert np.ptp(tops) > 10
    assert np.ptp(inside.mean(1)) > 40
    assert abs(inside - image[60, 80]).max() <= 40 + 12  # brightness, and what hue and saturation add


def test_the_affine_view_has_no_new_colours_and_a_black_rim(picture):
    image, _ = picture
    moved = random_affine(np.full_like(image, 100), np.random.default_rng(3))
    assert set(np.unique(moved)) <= set(range(101))
    assert (moved == 0).any()
    assert not np.array_equal(random_affine(image, np.random.default_rng(4)), image)
