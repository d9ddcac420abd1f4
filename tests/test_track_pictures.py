"""Tracks to look at: what is drawn where, which frames stand for a video, and the record's way to disk and back."""

import json

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.propagation import FrameResult, TrackedFrame
from util.track_pictures import OVERVIEW_WIDTH, Tracks, draw_sightings, spread_frames, write_pictures
from util.track_record import Mark, Sighting, TrackRecord
from util.visualize import FIRST_COLORS

HEIGHT, WIDTH = 60, 100
NAMES = ("a", "b", "c")


def result(score=0.8):
    box, point = torch.tensor([0.5, 0.5, 0.4, 0.2]), torch.tensor([0.25, 0.75])
    return FrameResult(torch.zeros(HEIGHT, WIDTH), torch.tensor([0.1, score]), box, point)


def record(marks=True):
    """The key frame b was given; a was found alone, as by a second key frame."""
    made = TrackRecord("a dog", {} if marks else None)
    made.add("b", TrackedFrame(1, torch.zeros(HEIGHT, WIDTH), None, is_key=True))
    made.add("a", TrackedFrame(0, torch.zeros(HEIGHT, WIDTH), result(), is_key=True))
    made.add("c", TrackedFrame(2, torch.zeros(HEIGHT, WIDTH), result(0.5)))
    return made


def test_marks_are_in_pixels():
    assert Mark.of(result()) == Mark((30, 24, 70, 36), (25, 45))


def test_a_record_comes_back_from_json():
    made = record()
    assert TrackRecord.from_dict(json.loads(json.dumps(made.as_dict()))) == made
    assert made.sighting("b") == Sighting("a dog", None, is_key=True)
    assert record(marks=False).as_dict().keys() == {"expression", "key_frame", "scores"}
    assert record(marks=False).as_dict()["key_frame"] == "b"


def test_box_point_and_mask_are_drawn_where_they_are():
    image, mask = np.full((HEIGHT, WIDTH, 3), 128, np.uint8), np.zeros((HEIGHT, WIDTH), bool)
    mask[50:58, 80:95] = True
    shown = [draw_sightings(image, [mask], [s])[-HEIGHT:] for s in (record().sighting("c"), record().sighting("b"))]
    for picture, marked in zip(shown, (True, False), strict=True):
        red = np.abs(picture.astype(int) - FIRST_COLORS[0]).max(-1) < 40
        assert red[24, 50] == red[30, 30] == red[45, 25] == marked
        assert red[50, 85]
        assert not red[10, 10]


@given(st.integers(1, 60), st.integers(1, 9), st.data())
def test_a_spread_has_what_is_wanted(length, count, data):
    wanted = data.draw(st.lists(st.integers(0, length - 1), unique=True, max_size=min(count, length)))
    chosen = spread_frames(length, count, wanted)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, length)
    assert set(wanted) <= set(chosen) <= set(range(length))


def test_pictures_overview_and_scores(tmp_path):
    video = [np.full((HEIGHT, WIDTH, 3), 128, np.uint8)] * 3
    tracks = Tracks(video, NAMES, [record()] * 2, lambda _: [np.zeros((HEIGHT, WIDTH), bool)] * 2)
    write_pictures(tracks, tmp_path / "0")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    assert written == {"0/a.png", "0/b.png", "0/c.png", "0_overview.png", "0_scores.png"}
    assert len({Image.open(tmp_path / "0" / f"{name}.png").size for name in NAMES}) == 1
    assert Image.open(tmp_path / "0_overview.png").width == OVERVIEW_WIDTH
    plot = np.array(Image.open(tmp_path / "0_scores.png").convert("RGB")).astype(int)
    assert (np.abs(plot - FIRST_COLORS[1]).sum(-1) < 30).any()
