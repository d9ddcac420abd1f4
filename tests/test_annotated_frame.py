"""The one annotated frame of a window: which frames lead to it, and what the network says of it."""

import numpy as np
import pytest
import torch

from datasets.reference_frame import black_out
from datasets.sample import RawClip
from models.annotated_frame import AllQueries, AnnotatedFrameTracker, distinct_frames
from models.postprocessors import AllQueryMasks


def frame(number):
    return np.full((4, 6, 3), number, np.uint8)


class FakeSegmenter:
    """Its masks are row `number`; its score is highest at frame `best`. `calls` says what it was asked."""

    threshold = 0.5

    def __init__(self, best):
        self.best, self.calls = best, []

    def encode_text(self, caption):
        return caption

    def segment(self, image, text, reference=None):
        return self.segment_window([image], 0, text, reference)

    def segment_window(self, images, annotated, text, reference=None):
        number = int(images[annotated][0, 0, 0])
        self.calls.append((number, len(images), reference))
        masks = torch.zeros(2, 4, 6, dtype=torch.bool)
        masks[0, number % 4] = True
        scores = torch.tensor([0.9 if number == self.best else 0.1, 0.0])
        return AllQueries(masks[0].float(), scores, torch.zeros(4), torch.zeros(2), masks)


def mask_of(number):
    return np.arange(4)[:, None].repeat(6, 1) == number % 4


@pytest.mark.parametrize("best", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("annotated", [0, 2, 4])
def test_tracking_goes_from_the_key_frame_to_the_annotated_one(best, annotated):
    fake = FakeSegmenter(best)
    frames = [frame(number) for number in range(1, 6)]
    answer = AnnotatedFrameTracker(fake, fake, True).answer(clip_of(frames, annotated))
    found, tracked = fake.calls[:5], fake.calls[5:]
    assert [(number, reference) for number, _, reference in found] == [(n, None) for n in range(1, 6)]
    wanted = annotated + 1
    step = 1 if wanted > best else -1
    assert [number for number, _, _ in tracked] == list(
        range(best + step, wanted + step, step) if wanted != best else []
    )
    for number, length, reference in tracked:
        assert length == 1
        assert np.array_equal(reference, black_out(frame(number - step), mask_of(number - step)))
    assert np.array_equal(answer.result.masks[0], mask_of(wanted))
    assert answer.is_key == (wanted == best)


def clip_of(frames, annotated=None, caption="a dog"):
    return RawClip(frames, [frames[0] * 0], np.zeros((1, 4, 6), bool), caption, 0, "clip", annotated)


def test_another_network_finds_the_key_frame():
    key, own = FakeSegmenter(1), FakeSegmenter(3)
    AnnotatedFrameTracker(own, key, True).answer(clip_of([frame(n) for n in range(1, 6)], 2))
    assert [call[0] for call in key.calls] == [1, 2, 3, 4, 5]
    assert [call[0] for call in own.calls] == [2, 3]


@pytest.mark.parametrize("tracking", [True, False])
@pytest.mark.parametrize(("numbers", "annotated"), [([7], None), ([7, 7, 7], 1), ([1, 2, 3], 1)])
def test_the_network_alone_sees_the_window_at_once(tracking, numbers, annotated):
    fake = FakeSegmenter(1)
    AnnotatedFrameTracker(fake, fake, tracking).answer(clip_of([frame(n) for n in numbers], annotated))
    if tracking and len(set(numbers)) > 1:
        assert len(fake.calls) == 4
    else:
        assert fake.calls == [(numbers[annotated or 0], len(numbers), None)]


def test_repeats_at_the_ends_of_a_video_are_one_frame():
    window = [frame(n) for n in (1, 1, 1, 2, 3, 3)]
    for annotated, place in enumerate((0, 0, 0, 1, 2, 2)):
        frames, found = distinct_frames(window, annotated)
        assert ([int(f[0, 0, 0]) for f in frames], found) == ([1, 2, 3], place)


def test_masks_are_cut_before_they_are_resized():
    """80 columns became 85, padded to 96: ten cells are 40 pixels of 85, and 38 of 80 columns lie there."""
    logits = torch.full((1, 1, 2, 16, 24), -10.0)
    logits[..., 0, :, :10] = 10
    scores, masks = AllQueryMasks()(torch.tensor([[[[0.0], [1.0]]]]), logits, (64, 85), (60, 80))
    assert scores.tolist() == pytest.approx([0.5, 0.7310586])
    assert masks[0].sum(1).tolist() == [38] * 60
    assert not masks[1].any()
