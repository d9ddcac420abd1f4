"""Several sentences of one video: asked about together, computed once, and each as if it were alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_key_frames import SIZE, CountedVideo

from models.conversation import converse, next_group
from models.frame_segmenter import FrameSegmenter
from models.propagation import FrameResult, Question, TrackedFrame
from models.shared_frames import IMAGES_KEPT, Cache, FramesReadAhead
from models.tracker import load_tracker
from opts import KEY_FRAME_SELECTORS as SELECTORS
from opts import parse_settings
from util.errors import InputError
from util.structures import Memory

NO_RESULT = FrameResult(torch.zeros(SIZE), torch.zeros(2), torch.zeros(4), torch.zeros(2))
CAPTIONS = ("a red ball", "the small green square on the left", "a ball")
LENGTH = 9


# ---- the conversation


def asking(*questions):
    """A track that asks these and tells of each frame; what it was sent is kept in `answers`."""
    for question in questions:
        answer = yield question
        yield TrackedFrame(question.index, answer.probability, answer)


def walk(start, stop):
    """Questions from `start` on, forward or backward; before `stop`."""
    step = 1 if stop > start else -1
    return [Question(i, np.zeros(1), range(i + step, stop, step)) for i in range(start, stop, step)]


def groups_of(*tracks):
    """Which tracks were answered together, and about which frame."""
    asked = []

    def answer(numbers, questions):
        assert len({(question.index, question.alone) for question in questions}) == 1
        asked.append((questions[0].index, list(numbers)))
        return [NO_RESULT] * len(questions)

    list(converse([asking(*track) for track in tracks], answer))
    return asked


def test_a_track_waits_for_those_behind_it():
    assert groups_of(walk(2, 6), walk(4, 6)) == [(2, [0]), (3, [0]), (4, [0, 1]), (5, [0, 1])]


def test_forward_comes_before_backward_and_the_last_frame_first_there():
    assert groups_of(walk(4, 6), walk(1, -1), walk(2, -1)) == [(4, [0]), (5, [0]), (2, [2]), (1, [1, 2]), (0, [1, 2])]


def test_frames_alone_are_no_company_for_tracked_ones():
    assert groups_of([Question(3)], walk(3, 5)) == [(3, [0]), (3, [1]), (4, [1])]


def test_nobody_asks_nothing_happens():
    assert next_group({}) == []
    assert groups_of() == []
    assert groups_of([], walk(0, 1)) == [(0, [1])]


walks = st.tuples(st.integers(0, 9), st.integers(-1, 10)).map(lambda ends: walk(*ends))


@given(st.lists(st.lists(walks, max_size=3).map(lambda parts: list(chain(*parts))), max_size=4))
def test_every_question_is_answered_once_and_in_its_order(tracks):
    said = list(converse([asking(*track) for track in tracks], lambda numbers, asked: [NO_RESULT] * len(asked)))
    for number, track in enumerate(tracks):
        assert [frame.index for other, frame in said if other == number] == [question.index for question in track]


def test_answers_go_to_those_who_asked():
    results = {number: replace(NO_RESULT, box=torch.full((4,), float(number))) for number in range(3)}
    said = converse([asking(*walk(n, 4)) for n in range(3)], lambda numbers, _: [results[n] for n in numbers])
    for number, frame in said:
        assert frame.result is results[number]


# ---- what is kept


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9))), st.integers(0, 20))
def test_a_cache_stays_within_its_limit_but_for_the_newest(puts, limit):
    cache = Cache(limit)
    for frame, size in puts:
        cache.put(frame, (frame, size), size)
        assert cache[frame] == (frame, size)
        kept = [cache[other] for other in range(6) if other in cache]
        assert cache.size == sum(size for _, size in kept)
        assert cache.size <= limit or len(kept) == 1


def test_the_longest_unused_goes_first():
    cache = Cache(2)
    cache.put(0, "a", 1)
    cache.put(1, "b", 1)
    assert cache[0] == "a"
    cache.put(2, "c", 1)
    assert [frame in cache for frame in range(3)] == [True, False, True]


def test_frames_are_read_once_each_on_a_walk_and_few_are_kept():
    video = CountedVideo(60)
    with ThreadPoolExecutor(1) as thread:
        frames = FramesReadAhead(video, lambda image: torch.tensor(int(image[0, 0, 0])), thread)
        for index in range(60):
            frames.expect(range(index, min(index + 8, 60)))
            assert frames[index][0, 0, 0] == frames.shrunk(index) == index + 1
    assert len(video.handed_out) == 60
    assert sum(reference() is not None for reference in video.handed_out) <= IMAGES_KEPT


class BrokenVideo(CountedVideo):
    def __getitem__(self, index):
        if index == 5:
            raise InputError("frame 5 is broken")
        return super().__getitem__(index)


# ---- with a network


@pytest.fixture(scope="module")
def video():
    """Of a seed for which no pixel's probability is so near ½ that rounding decides whether the reference shows it."""
    return list(np.random.default_rng(2).integers(0, 256, (LENGTH, 48, 64, 3), np.uint8))


@pytest.fixture
def tracker(inference_flags):
    def make(*flags):
        return load_tracker(parse_settings([*map(str, inference_flags), *map(str, flags)]))

    return make


def together(tracker, video, captions=CAPTIONS):
    """Each sentence's frames, in order: (index, probability, score)."""
    frames = {number: [] for number in range(len(captions))}
    for number, frame in tracker.track_together(video, captions):
        frames[number].append((frame.index, frame.probability, frame.score))
    return frames


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("memory", [0, 768])
def test_together_is_as_alone(tracker, video, selector, memory):
    one = tracker("--key_frame_selector", selector, "--feature_memory", memory, "--key_candidates", 4)
    for number, frames in together(one, video).items():
        alone = together(one, video, [CAPTIONS[number]])[0]
        assert [index for index, _, _ in frames] == [index for index, _, _ in alone]
        for (_, ours, score), (_, theirs, other) in zip(frames, alone, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
            assert score == pytest.approx(other, abs=1e-5)


def test_as_frame_by_frame_with_the_whole_network(tracker, video):
    """The plain way: one frame at a time, nothing shared, nothing ahead."""
    one = tracker("--key_candidates", 1)
    segmenter, reference = one.segmenter, None
    text = segmenter.encode_text(CAPTIONS[0])
    frames = {index: probability for index, probability, _ in together(one, video, CAPTIONS[:1])[0]}
    for index in range(LENGTH // 2, LENGTH):
        probability = segmenter.segment(video[index], text, reference).probability
        torch.testing.assert_close(frames[index], probability, atol=1e-4, rtol=0)
        reference = video[index] * (probability > 0.5).numpy()[..., None]


def looked_at(monkeypatch):
    """Grows by the number of frames, each time that a network looks at some without knowing a sentence."""
    counts, look = [], FrameSegmenter.look
    monkeypatch.setattr(FrameSegmenter, "look", lambda self, frames: counts.append(len(frames)) or look(self, frames))
    return counts


def test_a_frame_goes_through_the_backbone_once_for_all_sentences(tracker, video, monkeypatch):
    counts = looked_at(monkeypatch)
    together(tracker(), video)
    assert sum(counts) == LENGTH
    counts.clear()
    together(tracker(), video, CAPTIONS[:1])
    assert sum(counts) == LENGTH
    assert max(counts) > 1, "several frames at a time"


def test_candidates_are_read_with_the_sentence_once(tracker, video, monkeypatch):
    pairs, read = [], FrameSegmenter.read
    monkeypatch.setattr(
        FrameSegmenter,
        "read",
        lambda s, levels, text, **masks: pairs.append(len(text.words)) or read(s, levels, text, **masks),
    )
    together(tracker("--key_candidates", 0), video)
    assert sum(pairs) == LENGTH * len(CAPTIONS)


@pytest.mark.parametrize("captions", [CAPTIONS, CAPTIONS[:1]])
def test_candidates_have_no_masks_but_the_best_one(tracker, video, captions):
    """Each frame's features of masks are made once: for the key frame, and when a track passes."""
    made, asking = [], tracker("--key_candidates", 0)
    asking.segmenter.network.pixel_decoder.register_forward_hook(lambda *_: made.append(len(_[2])))
    together(asking, video, captions)
    assert sum(made) == LENGTH * len(captions)


@torch.inference_mode()
def test_frames_and_sentences_are_read_as_pairs(tracker, video):
    segmenter, rows = tracker().segmenter, []
    text = segmenter.encode_text(*CAPTIONS)
    levels = segmenter.look([segmenter.shrunk(image) for image in video[:2]])
    hook = segmenter.network.pixel_decoder.adapter_1.register_forward_hook(
        lambda _, given, __: rows.append(len(given[0]))
    )
    both = segmenter.read(levels, text.take([0, 1, 2, 0, 1, 2]))
    hook.remove()
    assert rows == [2], "what no sentence changes is computed once a frame"
    for row, (frame, sentence) in enumerate((f, s) for f in range(2) for s in range(3)):
        alone = segmenter.read([level.take([frame]) for level in levels], text.take([sentence]))
        torch.testing.assert_close(both.features[row], alone.features[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(both.memory.tokens[row], alone.memory.tokens[0], atol=1e-4, rtol=1e-4)


def test_a_broken_frame_is_told(tracker):
    with pytest.raises(InputError, match="frame 5 is broken"):
        together(tracker(), BrokenVideo(9))


def test_a_track_that_is_given_up_leaves_no_thread(tracker, video):
    frames = tracker().track_together(video, CAPTIONS)
    next(frames)
    frames.close()


def test_rows_of_a_memory():
    memory = Memory(torch.arange(12.0).view(3, 2, 2), torch.zeros(3, 2, dtype=bool), torch.ones(3, 1, 2), [(1, 2)], 1)
    assert torch.equal(memory.take([2, 0]).tokens, memory.tokens[[2, 0]])
    assert memory.take(range(1, 3)).tokens.data_ptr() == memory.tokens[1:].data_ptr(), "a range shares memory"
    joined = Memory.joined([memory.take([0]), memory.take([1, 2])])
    assert torch.equal(joined.tokens, memory.tokens)
    assert joined.shapes == memory.shapes
    assert memory.nbytes == 12 * 4 + 6 + 6 * 4
