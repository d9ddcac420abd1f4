"""Where propagation starts and how it spreads: choices given from outside, the network's own, and the way outward."""

import json
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets.expressions import VideoEntry
from datasets.key_frames import KeyChoice, KeyFrameFiles
from datasets.reference_frame import outward
from models.conversation import converse
from models.propagation import FrameResult, Grounder, KeyFrame, Propagator, propagate, spread_candidates
from util.errors import InputError

SIZE = (6, 8)
VIDEO = VideoEntry("street", ("00000", "00005", "00010", "3"), ())


def in_a_video():
    """(length, key frame)."""
    return st.integers(1, 80).flatmap(lambda length: st.tuples(st.just(length), st.integers(0, length - 1)))


# ---- the way outward


@given(in_a_video())
def test_every_frame_is_covered_once_outward_from_the_key(place):
    length, key = place
    forward, backward = outward(range(length), key)
    assert sorted([key, *forward, *backward]) == list(range(length))
    assert list(forward) == sorted(forward)
    assert list(backward) == sorted(backward, reverse=True)


def test_a_part_of_a_video():
    assert [list(way) for way in outward(range(3, 8), 5)] == [[6, 7], [4, 3]]


@pytest.mark.parametrize(("length", "key"), [(4, 4), (4, -1), (0, 0)])
def test_a_key_frame_outside_the_video_is_refused(length, key):
    with pytest.raises(IndexError, match=f"key frame {key} is outside the frames 0 to {length - 1}"):
        outward(range(length), key)


class CountedVideo(Sequence):
    """Frames made when asked for; frame i is all i + 1. Knows how many of those it handed out are still alive."""

    def __init__(self, length):
        self.length, self.handed_out = length, []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        image = np.full((*SIZE, 3), index + 1, np.uint8)
        self.handed_out.append(weakref.ref(image))
        return image


def mask_of(index):
    """Another for each frame; frame 3's is empty, so that a lost object is among them."""
    return torch.from_numpy(np.random.default_rng(index).random(SIZE) > 0.5) & (index != 3)


class FakeSegmenter:
    """Answers each frame with its own mask, as probabilities of 0.3 and 0.7; the score is given. Keeps what it saw."""

    def __init__(self, scores=None):
        self.scores, self.seen = scores or {}, {}
        self.answers = []

    def segment(self, image, text, reference=None):
        index = int(image[0, 0, 0]) - 1
        assert index not in self.seen, "asked twice"
        self.seen[index] = None if reference is None else reference.copy()
        probability = 0.3 + 0.4 * mask_of(index).float()
        self.answers.append(weakref.ref(probability))
        score = self.scores.get(index, 0.5)
        return FrameResult(probability, torch.tensor([score, 0.0]), torch.zeros(4), torch.zeros(2))


def alive(references):
    return sum(reference() is not None for reference in references)


def answered(asking, segmenter, video):
    """What an Asking finds, its questions answered by a segmenter."""
    try:
        question = next(asking)
        while True:
            question = asking.send(segmenter.segment(video[question.index], None, question.reference))
    except StopIteration as found:
        return found.value


def carried(segmenter, video, key, **options):
    """The frames that propagation from a key frame's own mask tells of, in its order."""

    def answer(tracks, questions):
        return [segmenter.segment(video[question.index], None, question.reference) for question in questions]

    track = propagate(Propagator(video, **options), KeyFrame(key, mask_of(key)))
    return (frame for _, frame in converse([track], answer))


@given(in_a_video())
def test_each_reference_is_the_neighbour_with_its_own_mask(place):
    length, key = place
    video, segmenter = CountedVideo(length), FakeSegmenter()
    frames = list(carried(segmenter, video, key))
    assert all(torch.equal(frame.probability > 0.5, mask_of(frame.index)) for frame in frames)
    assert [frame.index for frame in frames] == [index for way in outward(range(length), key) for index in way]
    for frame in frames:
        neighbour = frame.index + (-1 if frame.index > key else 1)
        wanted = video[neighbour] * mask_of(neighbour).numpy()[..., None]
        np.testing.assert_array_equal(segmenter.seen[frame.index], wanted)
        assert segmenter.seen[frame.index].dtype == np.uint8


def test_only_the_last_mask_and_frame_are_kept():
    video, segmenter = CountedVideo(40), FakeSegmenter()
    for _ in carried(segmenter, video, 20):
        assert alive(segmenter.answers) <= 2  # this frame's, and `_` of the loop
        assert alive(video.handed_out) <= 1


def test_the_threshold_makes_the_reference():
    segmenter, video = FakeSegmenter(), CountedVideo(3)
    list(carried(segmenter, video, 0, threshold=0.8))
    np.testing.assert_array_equal(segmenter.seen[1], video[0] * mask_of(0).numpy()[..., None])
    assert not segmenter.seen[2].any()  # 0.7 does not reach 0.8


def test_what_comes_next_is_announced():
    """So that it can be read and computed ahead; at the ends the way's direction still shows."""
    asked = []

    def answer(tracks, questions):
        asked.extend(questions)
        return [FrameResult(torch.zeros(SIZE), torch.zeros(2), torch.zeros(4), torch.zeros(2))]

    list(converse([propagate(Propagator(CountedVideo(6)), KeyFrame(2, mask_of(2)))], answer))
    assert [(question.index, list(question.coming), question.backward) for question in asked] == [
        (3, [4, 5], False),
        (4, [5], False),
        (5, [], False),
        (1, [0], True),
        (0, [], True),
    ]


def test_a_step_before_the_start_is_a_mistake():
    with pytest.raises(RuntimeError, match="before"):
        next(Propagator(CountedVideo(1)).step(0))


# ---- the network's own choice


def test_the_highest_score_is_the_key_frame_and_its_mask_the_start():
    segmenter = FakeSegmenter({1: 0.2, 4: 0.9, 5: 0.9, 7: 0.99})
    video = CountedVideo(8)
    (key,) = answered(Grounder(video).best([1, 4, 5]), segmenter, video)
    assert key.index == 4  # the earliest of equals; 7 was not among the candidates
    assert torch.equal(key.mask, mask_of(4))
    assert key.result.score == pytest.approx(0.9)
    assert segmenter.seen == {1: None, 4: None, 5: None}, "candidates are looked at without a reference"


@given(st.integers(1, 300), st.integers(-1, 40))
def test_candidates_are_spread_evenly(length, count):
    chosen = spread_candidates(length, count)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(length))
    assert len(chosen) == (min(count, length) if count > 0 else length)
    assert len(chosen) == 1 or np.ptp(np.diff(chosen)) <= 1
    assert abs(chosen[0] - (length - 1 - chosen[-1])) <= 1, "as far from the start as from the end"


# ---- choices from files


def key_file(folder, content):
    path = folder / "keys.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_key_mask(folder, frame, size=SIZE):
    path = folder / "street" / "0" / f"{frame}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size, np.uint8)
    mask[1:3, 2:5] = 255
    Image.fromarray(mask).save(path)
    return path


def test_without_files_every_choice_is_the_networks():
    assert KeyFrameFiles().choice(VIDEO, "0") == KeyChoice()


@pytest.mark.parametrize(("written", "index"), [("00005", 1), (1, 1), ("1", 1), ("3", 3), (0, 0), ("00010", 2)])
def test_a_key_frame_is_a_name_or_an_index(tmp_path, written, index):
    """A name goes first: frame "3" of this video is its last."""
    files = KeyFrameFiles(key_file(tmp_path, {"street": {"0": written}}))
    assert files.choice(VIDEO, "0") == KeyChoice((index,))


@pytest.mark.parametrize("written", [4, -1, "00015", "4", None, True, 1.0, [1], {"a": 1}, ""])
def test_a_key_frame_outside_the_video(tmp_path, written):
    path = key_file(tmp_path, {"street": {"0": written}})
    with pytest.raises(InputError) as caught:
        KeyFrameFiles(path).choice(VIDEO, "0")
    message = str(caught.value)
    assert message.startswith(f"{path}: video 'street', expression '0': key frame {written!r} is outside the video")
    assert "\n" not in message


@pytest.mark.parametrize("content", [{}, {"street": {}}, {"street": {"1": 0}}, {"street": "0"}, {"street": [0]}])
def test_an_expression_without_key_frame(tmp_path, content):
    with pytest.raises(InputError, match=r"keys\.json: video 'street', expression '0': no key frame given"):
        KeyFrameFiles(key_file(tmp_path, content)).choice(VIDEO, "0")


@pytest.mark.parametrize("content", ["{", "", "[1, 2]", "null", "\0"])
def test_a_broken_file_of_key_frames(tmp_path, content):
    path = key_file(tmp_path, content)
    with pytest.raises(InputError) as caught:
        KeyFrameFiles(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_file_or_folder(tmp_path):
    for arguments in ((tmp_path / "none.json", None), (tmp_path, None), (None, tmp_path / "none")):
        with pytest.raises(InputError, match=str(next(filter(None, arguments)))):
            KeyFrameFiles(*arguments)


def test_given_masks_are_the_candidates(tmp_path):
    masks = {2: write_key_mask(tmp_path, "00010"), 0: write_key_mask(tmp_path, "00000")}
    write_key_mask(tmp_path, "00007")  # no frame of the video
    choice = KeyFrameFiles(masks=tmp_path).choice(VIDEO, "0")
    assert choice == KeyChoice((0, 2), masks)
    assert choice.mask(1, SIZE) is None
    mask = choice.mask(2, SIZE)
    assert mask.dtype == bool
    assert np.argwhere(mask).min(0).tolist() == [1, 2]
    assert mask.sum() == 6


def test_a_key_frame_and_masks_of_others(tmp_path):
    masks = {2: write_key_mask(tmp_path / "masks", "00010")}
    choice = KeyFrameFiles(key_file(tmp_path, {"street": {"0": 1}}), tmp_path / "masks").choice(VIDEO, "0")
    assert choice == KeyChoice((1,), masks)


def test_a_folder_without_mask(tmp_path):
    with pytest.raises(InputError, match="no mask named after a frame of the video") as caught:
        KeyFrameFiles(masks=tmp_path).choice(VIDEO, "0")
    assert str(caught.value).startswith(str(Path(tmp_path, "street", "0")))


def test_a_given_mask_of_another_size(tmp_path):
    path = write_key_mask(tmp_path, "00010")
    with pytest.raises(InputError, match=r"8, 6\) pixels, the frame has \(10, 6\)") as caught:
        KeyFrameFiles(masks=tmp_path).choice(VIDEO, "0").mask(2, (6, 10))
    assert str(path) in str(caught.value)
