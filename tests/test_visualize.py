"""Pictures for people: that they show what they should, where they should, at every size."""

import cv2
import numpy as np
import pytest

from util.visualize import contact_sheet, distinct_colors, draw_box, draw_points, overlay

RED, BLUE = (255, 0, 0), (0, 0, 255)


def grey(height=120, width=160):
    return np.full((height, width, 3), 128, np.uint8)


def close(pixel, color):
    return np.abs(pixel.astype(int) - color).max() < 30  # outlines are smoothed


def square(top, left, side=40, shape=(120, 160)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_overlay_tints_inside_outlines_the_edge_and_leaves_the_rest():
    image = grey()
    picture = overlay(image, [square(20, 20), square(40, 40)], [RED, BLUE])
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    assert np.all(image == 128)
    assert np.all(picture[:10] == 128)
    assert picture[30, 30, 0] > picture[30, 30, 2] + 50
    assert close(picture[20, 30], RED)
    assert close(picture[79, 60], BLUE)
    assert picture[50, 50, 2] > picture[50, 50, 0]  # where both are, the later one is on top


def test_overlay_of_nothing_and_of_wrong_things():
    image = grey()
    assert np.array_equal(overlay(image, [], []), image)
    assert np.array_equal(overlay(image, [np.zeros((120, 160), bool)], [RED]), image)
    assert overlay(image, [np.ones((120, 160), bool)], [RED])[60, 80, 0] > 128
    with pytest.raises(ValueError, match="mask of"):
        overlay(image, [np.zeros((60, 80), bool)], [RED])
    with pytest.raises(ValueError, match="argument"):
        overlay(image, [square(0, 0)], [])


def test_colours_differ_and_do_not_change_with_their_number():
    colors = distinct_colors(30)
    assert colors[:5] == distinct_colors(5)
    assert distinct_colors(0) == []
    assert all(isinstance(part, int) and 0 <= part <= 255 for color in colors for part in color)
    lab = cv2.cvtColor(np.array([colors], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1000 * np.eye(30)
    assert apart.min() > 20  # 2 can just be told apart
    assert len(distinct_colors(400)) == 400


def test_box_and_points_may_lie_outside():
    image = grey()
    assert tuple(draw_box(image, (10, 20, 60, 80), RED)[50, 10]) == RED
    assert tuple(draw_points(image, np.array([[30.4, 50.0]]), BLUE)[50, 30]) == BLUE
    assert np.array_equal(draw_points(image, np.zeros((0, 2)), BLUE), image)
    assert np.array_equal(draw_box(image, (-90, -90, -50.5, -50), RED), image)
    assert np.all(image == 128)


def test_contact_sheet():
    sheet = contact_sheet([grey(), grey(60, 160), grey(200, 100)], columns=2, width=400)
    assert sheet.shape[1:] == (400, 3)
    assert sheet.dtype == np.uint8
    cell = (400 - 3 * 2) // 2
    rows = round(120 * cell / 160), round(200 * cell / 100)
    assert sheet.shape[0] == sum(rows) + 3 * 2
    assert np.all(sheet[2 : 2 + rows[0], 2 : 2 + cell] == 128)
    for arguments in (([], 2, 400), ([grey()], 0, 400), ([grey()], 50, 60)):
        with pytest.raises(ValueError, match="no sheet"):
            contact_sheet(*arguments)
