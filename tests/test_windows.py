"""Windows of the Swin backbones: cut, shifted, masked, and put back."""

import itertools

import pytest
import torch
from test_backbones import frames

from models.swin_transformer import Stage, Windows, relative_position_index
from models.video_swin_transformer import VideoStage


@pytest.mark.parametrize(
    ("grid", "size", "shift"),
    [
        ((9, 12), (7, 7), (3, 3)),
        ((5, 7), (7, 7), (3, 3)),
        ((9, 3, 8), (8, 3, 7), (4, 0, 3)),
        ((2, 5, 4), (2, 5, 4), (0,) * 3),
    ],
)
def test_windows_come_back_as_they_were(grid, size, shift):
    windows, x = Windows(size, shift), frames(2, *grid, 3)
    torch.testing.assert_close(windows.join(windows.split(x), grid), x, rtol=0, atol=0)


def test_the_mask_parts_what_the_roll_brought_together():
    grid, windows = (9, 12), Windows((7, 7), (3, 3))
    mask = windows.mask(grid, like=torch.zeros(()))
    assert mask.shape == (4, 49, 49)
    places = torch.cartesian_prod(torch.arange(14), torch.arange(14)).reshape(1, 14, 14, 2)
    places = windows.split(places)  # the places of each window's tokens before the roll
    for allowed, inside in zip(mask == 0, places, strict=True):
        near = (inside.unsqueeze(0) - inside.unsqueeze(1)).abs().amax(dim=-1) < 7
        assert torch.equal(allowed, near)
    assert set(mask.unique().tolist()) == {-100.0, 0.0}
    assert Windows((7, 7), (0, 0)).mask(grid, like=mask) is None


def test_relative_positions_share_a_row_where_their_offset_is_equal():
    index = relative_position_index((2, 3))
    places = list(itertools.product(range(2), range(3)))
    for (i, a), (j, b) in itertools.product(enumerate(places), repeat=2):
        assert index[i, j] == (a[0] - b[0] + 1) * 5 + a[1] - b[1] + 2


def test_swin_shifts_even_where_one_window_covers_the_map():
    assert Stage([], (7, 7), use_checkpoint=False).layouts((2, 3)) == (Windows((7, 7), (0, 0)), Windows((7, 7), (3, 3)))


def test_video_windows_shrink_to_the_clip_and_then_stand_still():
    stage = VideoStage([], (8, 7, 7), use_checkpoint=False)
    assert stage.layouts((3, 7, 9)) == (Windows((3, 7, 7), (0, 0, 0)), Windows((3, 7, 7), (0, 0, 3)))
    assert stage.layouts((9, 6, 4)) == (Windows((8, 6, 4), (0, 0, 0)), Windows((8, 6, 4), (4, 0, 0)))
