"""Sentences above pictures: the picture stays whole, and all pictures of a video have one size."""

import numpy as np
import pytest

from util.captions import Caption, captioned

RED, BLUE = (255, 0, 0), (0, 0, 255)


def grey(height=120, width=160):
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (90, 160), (480, 854), (1080, 608)])
def test_the_picture_lies_untouched_below_the_strip(size):
    picture = captioned(grey(*size), [Caption("a black swan", RED, "0.93")], "00005")
    height, width = size
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (width, 3)
    assert np.all(picture[-height:] == 128)
    strip = picture[:-height]
    assert len(strip) < 200
    if width > 100:
        assert np.any(np.all(strip == RED, axis=-1)), "the spot"
        assert strip.max(axis=(0, 1)).min() > 200, "light letters"


def test_the_strip_is_as_high_whatever_is_noted():
    text = "a dog that runs along the beach and then into the water"
    pictures = [
        captioned(grey(), [Caption(text, RED, note, strong), Caption("a cat", BLUE, "given")], heading)
        for note, strong, heading in (("0.1", False, "1"), ("key frame 0.93", True, "frame " * 40), ("", False, "2"))
    ]
    assert len({picture.shape for picture in pictures}) == 1
    strips = [picture[:-120] for picture in pictures]
    reds = [np.all(strip == RED, axis=-1).sum() for strip in strips]
    assert reds[1] > 2 * reds[0], "a strong note stands on the sentence's colour"


def test_captions_wrap_grow_and_take_any_script():
    heights = [
        len(captioned(grey(480, 854), [Caption(text, RED)]))
        for text in ("short", "a rather long sentence " * 5, "x" * 200)
    ]
    assert heights[0] < min(heights[1:])
    one, two = (captioned(grey(), [Caption(text, RED)]) for text in ("ein schöner Hund", "ein sch ner Hund"))
    assert not np.array_equal(one, two)
    assert len(captioned(grey(), [Caption("собака 犬 🐕", RED), Caption("", BLUE), Caption("  ", BLUE)])) > 120
    assert np.array_equal(captioned(grey(), []), grey())
