"""Key-frame selectors: where propagation starts, what each frame is carried from, and the gate that starts again."""

import json
import weakref
from collections import Counter
from unittest.mock import patch

import numpy as np
import pytest
import torch
from conftest import YTVOS_FRAMES, YTVOS_VIDEOS
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_key_frames import SIZE, CountedVideo, alive, answered, in_a_video

import inference_ytvos
from datasets.key_frames import KeyChoice
from datasets.video_source import FrameFolder
from models.conversation import converse
from models.key_frames import selector_of
from models.key_frames_consensus import MOST_VOTERS
from models.key_frames_references import MOST_REFERENCES, nearest_frames
from models.key_frames_restart import MIN_IOU, MIN_SCORE, RestartingPropagator, iou
from models.propagation import FrameResult, Grounder, KeyFrame, Propagator, propagate, spread_candidates
from models.shared_frames import IMAGES_KEPT
from models.tracker import Tracker
from opts import KEY_FRAME_SELECTORS as SELECTORS
from opts import parse_settings
from util.results import ExpressionResults

KEEPING = {"argmax": 1, "consensus": MOST_VOTERS, "references": MOST_REFERENCES, "restart": 1}


def square(left, width=3):
    """A mask of `width` columns from `left` on."""
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[1:4, left : left + width] = True
    return mask


class FakeNetwork:
    """Network and segmenter in one. Alone, a frame has `masks` and `scores`; from a reference, the reference's mask.

    `tracked` overrides the latter: frame → (score, mask). `calls` are (frame, the frame it was carried from or None).
    """

    tracking = True

    def __init__(self, scores=None, masks=None, tracked=None):
        self.network = self
        self.scores, self.masks, self.tracked = scores or {}, masks or {}, tracked or {}
        self.calls, self.answers, self.most_alive = [], [], 0

    def shrunk(self, image):
        return None

    def segment(self, image, text, reference=None):
        index = int(image[0, 0, 0]) - 1
        self.calls.append((index, None if reference is None else int(reference.max()) - 1))
        if reference is None:
            score, mask = self.scores.get(index, 0.5), self.masks.get(index, square(2))
        else:
            score, mask = self.tracked.get(index, (0.5, torch.from_numpy(reference.any(-1))))
        probability = 0.2 + 0.6 * mask.float()
        self.answers.append(weakref.ref(probability))
        self.most_alive = max(self.most_alive, alive(self.answers))
        return FrameResult(probability, torch.tensor([score, 0.0]), torch.zeros(4), torch.zeros(2))


def tracker_of(network, selector, candidates=0, key_network=None):
    settings = parse_settings(["--key_frame_selector", selector, "--key_candidates", str(candidates)]).inference
    with patch("models.tracker.FrameSegmenter", lambda segmenter, _: segmenter):
        return FakeTracker(network, settings, key_network)


class FakeTracker(Tracker):
    """Asks FakeNetworks, a frame at a time."""

    def _answering(self, frames, captions):
        def answer(tracks, questions):
            return [
                (self.key_segmenter if q.alone else self.segmenter).segment(frames[q.index], None, q.reference)
                for q in questions
            ]

        return answer


def on_record(frames, length, folder):
    """The key frame that results keep of a track."""
    results = ExpressionResults("it", folder / "masks", folder / "record.json")
    with results.writing(FrameFolder([f"{i}.jpg" for i in range(length)]), 0.5) as writer:
        for frame in frames:
            writer.add(frame)
    return int(json.loads(results.record.read_text())["key_frame"])


# ---- what holds for all


def scored_videos():
    """(length, candidates, scores)."""
    scores = st.lists(st.integers(1, 9).map(lambda n: n / 10), min_size=1, max_size=40)
    return scores.flatmap(lambda s: st.tuples(st.just(len(s)), st.integers(0, 12), st.just(s)))


@pytest.mark.parametrize("selector", SELECTORS)
@given(scored_videos())
def test_every_frame_comes_once_and_the_best_key_frame_first(selector, scored):
    length, count, scores = scored
    network = FakeNetwork(dict(enumerate(scores)))
    frames = list(tracker_of(network, selector, count).track(CountedVideo(length), "it"))
    assert sorted(frame.index for frame in frames) == list(range(length))
    assert frames[0].is_key
    assert frames[0].index == max(spread_candidates(length, count), key=lambda index: scores[index])


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_cost_in_passes(selector):
    """As docs/key_frames.md says: 8 of 24 frames are candidates; nothing is lost on the way."""
    network = FakeNetwork()
    list(tracker_of(network, selector, 8).track(CountedVideo(24), "it"))
    grounded = sum(source is None for _, source in network.calls)
    carried = {"argmax": 23, "consensus": 7 + 23, "references": 22, "restart": 23}[selector]
    assert (grounded, len(network.calls) - grounded) == (8, carried)


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("length", [20, 200])
def test_memory_does_not_grow_with_the_video(selector, length):
    """All frames are candidates."""
    network, video = FakeNetwork({i: i / 200 for i in range(length)}), CountedVideo(length)
    for _ in tracker_of(network, selector).track(video, "it"):
        assert alive(video.handed_out) <= IMAGES_KEPT + 1
    assert network.most_alive <= KEEPING[selector] + 2  # this frame's, and the one before


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_given_mask_wins(selector, tmp_path):
    paths = {index: tmp_path / f"{index}.png" for index in (1, 4)}
    for index, path in paths.items():
        Image.fromarray(square(index).numpy().astype(np.uint8) * 255).save(path)
    network = FakeNetwork({1: 0.6, 4: 0.7, 5: 0.9})
    frames = list(tracker_of(network, selector).track(CountedVideo(6), "it", KeyChoice((1, 4), paths)))
    assert len(frames) == 6
    assert [frame.index for frame in frames if frame.is_key] == [4]
    assert all(torch.equal(frame.probability > 0.5, square(4)) for frame in frames)
    network.calls.clear()
    frames = list(tracker_of(network, selector).track(CountedVideo(6), "it", KeyChoice((1,), paths)))
    assert [frame.index for frame in frames if frame.is_key] == [1]
    assert all(source is not None for _, source in network.calls), "a given key frame and mask leave nothing to find"


def test_another_network_finds_key_frames_but_does_not_carry():
    for selector in SELECTORS:
        finder, carrier = FakeNetwork(), FakeNetwork()
        list(tracker_of(carrier, selector, key_network=finder).track(CountedVideo(9), "it"))
        assert {source for _, source in finder.calls} == {None}
        assert None not in {source for _, source in carrier.calls}


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_run_writes_every_mask_and_one_key_frame(selector, program, inference_flags, ytvos, tmp_path):
    """All selectors agree on which key frame is the best one."""
    flags = (*inference_flags, "--ytvos_path", ytvos, "--output_dir", tmp_path / "out")
    recorded = []
    for name in ("argmax", selector):
        outcome = program(inference_ytvos.main, *flags, "--key_frame_selector", name, "--overwrite")
        assert outcome.code == 0, outcome.err
        assert len(list((tmp_path / "out" / "valid").rglob("*.png"))) == 3 * len(YTVOS_FRAMES)
        recorded.append(json.loads((tmp_path / "out" / "valid_key_frames.json").read_text()))
    assert recorded[0] == recorded[1]
    assert {video: set(keys) for video, keys in recorded[1].items()} == {v: set(e) for v, e in YTVOS_VIDEOS.items()}


def start_points(selector, network, length, candidates, threshold=0.5):
    video = CountedVideo(length)
    asking = selector_of(selector, Propagator(video, threshold)).start_points(Grounder(video, threshold), candidates)
    return answered(asking, network, video)


# ---- consensus


def consensus(network, length, candidates):
    return start_points("consensus", network, length, candidates)[0]


@given(in_a_video(), st.integers(1, 20))
def test_equal_masks_agree_on_that_mask(place, count):
    length, best = place
    key = consensus(FakeNetwork({best: 0.9}), length, spread_candidates(length, count))
    assert torch.equal(key.mask, square(2))
    assert torch.allclose(key.result.probability, 0.2 + 0.6 * square(2).float())


def test_the_others_outvote_the_best_scored():
    """By hand: softmax(2 · (0.5, 0.4, 0.3)) = 0.402, 0.329, 0.269; two against one where they agree."""
    masks = {2: square(0), 5: square(4), 7: square(4)}
    network = FakeNetwork({2: 0.3, 5: 0.5, 7: 0.4}, masks)
    key = consensus(network, 9, [2, 5, 7])
    assert key.index == 5
    assert key.result.score == 0.5
    assert network.calls == [(2, None), (5, None), (7, None), (5, 7), (5, 2)]
    assert torch.equal(key.mask, square(4))
    assert key.result.probability[1, 0].item() == pytest.approx(0.2 + 0.6 * 0.269, abs=1e-3)
    assert key.result.probability[1, 5].item() == pytest.approx(0.2 + 0.6 * 0.731, abs=1e-3)
    masks[5] = square(0)
    assert torch.equal(consensus(network, 9, [2, 5, 7]).mask, square(0))
    masks[2] = square(4)
    assert torch.equal(consensus(network, 9, [2, 5, 7]).mask, square(4)), "its own mask alone is a minority"


def test_one_candidate_keeps_its_own_mask():
    network = FakeNetwork()
    key = consensus(network, 5, [3])
    assert network.calls == [(3, None)]
    assert torch.equal(key.result.probability, 0.2 + 0.6 * square(2).float())


def test_the_threshold_decides_the_vote():
    (key,) = start_points("consensus", FakeNetwork(), 3, [0, 1, 2], threshold=0.9)
    assert not key.mask.any()


# ---- several references


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_every_frame_belongs_to_its_nearest_key_frame(place):
    length, keys = place
    nearest = nearest_frames(length, list(keys))
    assert nearest.keys() == keys
    owner = {frame: key for key, frames in nearest.items() for frame in frames}
    assert sorted(owner) == list(range(length))
    assert sum(map(len, nearest.values())) == length
    for frame, key in owner.items():
        assert key == min(sorted(keys), key=lambda other: abs(other - frame)), "in the middle: the earlier one"


@pytest.mark.parametrize(("candidates", "count"), [(1, 1), (3, 1), (4, 1), (8, 2), (11, 2), (12, 3), (100, 16)])
def test_the_best_quarter_are_key_frames(candidates, count):
    network = FakeNetwork({i: i / 100 for i in range(candidates)})
    keys = start_points("references", network, candidates, range(candidates))
    assert [key.index for key in keys] == list(range(candidates))[-count:][::-1]


def test_frames_are_carried_outward_to_the_middle():
    """Key frames 2 and 9 of 12, 9 the better one."""
    masks = {2: square(0), 9: square(4)}
    network = FakeNetwork({2: 0.8, 9: 0.9}, masks)
    frames = list(tracker_of(network, "references", 8).track(CountedVideo(12), "it"))
    assert [frame.index for frame in frames] == [9, 10, 11, 8, 7, 6, 2, 3, 4, 5, 1, 0]
    assert network.calls[8:] == [(10, 9), (11, 10), (8, 9), (7, 8), (6, 7), (3, 2), (4, 3), (5, 4), (1, 2), (0, 1)]
    assert [frame.index for frame in frames if frame.is_key] == [9, 2]
    for frame in frames:
        assert torch.equal(frame.probability > 0.5, masks[2 if frame.index < 6 else 9])


# ---- the gate


def restarting(network, length, key):
    """Each frame's mask, from `key` outward, and the frames that were found anew."""
    video = CountedVideo(length)
    track = propagate(RestartingPropagator(video), KeyFrame(key, square(2)))

    def answer(tracks, questions):
        return [network.segment(video[question.index], None, question.reference) for question in questions]

    frames = [frame for _, frame in converse([track], answer)]
    return {frame.index: frame.probability > 0.5 for frame in frames}, [f.index for f in frames if f.is_key]


ELSEWHERE, NOWHERE, EVERYWHERE = square(5), square(0, 0), torch.ones(SIZE, dtype=torch.bool)
UNSURE = MIN_SCORE - 0.01


def test_a_trusted_track_is_never_looked_at_again():
    network = FakeNetwork(tracked={3: (MIN_SCORE, square(2)), 4: (0.9, square(2, 2))})
    assert restarting(network, 6, 0)[1] == []
    assert None not in {source for _, source in network.calls}


@pytest.mark.parametrize(
    "tracked",
    [(UNSURE, square(2)), (0.5, ELSEWHERE), (0.5, NOWHERE), (0.5, EVERYWHERE)],
    ids=["unsure", "elsewhere", "lost", "everywhere"],
)
def test_a_doubtful_frame_is_grounded_and_the_walk_goes_on_from_there(tracked):
    network = FakeNetwork({3: 0.6}, {3: square(4)}, {3: tracked})
    masks, anew = restarting(network, 6, 1)
    assert anew == [3]
    for index, mask in masks.items():
        assert torch.equal(mask, square(4 if index >= 3 else 2))
    assert network.calls == [(2, 1), (3, 2), (3, None), (4, 3), (5, 4), (0, 1)]


def test_the_less_certain_answer_is_not_taken():
    network = FakeNetwork({3: UNSURE}, {3: square(4)}, {3: (UNSURE, square(2))})
    assert restarting(network, 6, 1)[1] == []
    assert network.calls == [(2, 1), (3, 2), (3, None), (4, 3), (5, 4), (0, 1)]


def test_a_lost_object_is_looked_for_in_every_frame():
    empty = square(0, 0)
    gone = dict.fromkeys(range(2, 5), (0.5, empty))
    network = FakeNetwork(dict.fromkeys(range(2, 4), 0.1) | {4: 0.7}, tracked=gone)
    assert restarting(network, 7, 1)[1] == [4]
    assert [index for index, source in network.calls if source is None] == [2, 3, 4]


def test_both_directions_begin_at_the_key_frame():
    """What was tracked last on the way forward must not be compared with the first frame on the way back."""
    network = FakeNetwork({4: 0.9}, {4: ELSEWHERE}, {4: (UNSURE, square(2))})
    assert restarting(network, 5, 2)[1] == [4]
    assert [call for call in network.calls if call[1] is None] == [(4, None)]


def test_iou():
    assert iou(square(2), square(2)) == 1
    assert iou(square(0, 4), square(2, 4)) == pytest.approx(1 / 3)
    assert iou(NOWHERE, square(2)) == iou(NOWHERE, NOWHERE) == 0
    assert 0 < MIN_IOU < 1


def test_frames_found_anew_are_key_frames_but_the_first_one_is_on_record(tmp_path):
    network = FakeNetwork({0: 0.9, 3: 0.6, 6: 0.6}, tracked={3: (UNSURE, square(2)), 6: (0.5, ELSEWHERE)})
    frames = list(tracker_of(network, "restart").track(CountedVideo(8), "it"))
    assert {frame.index for frame in frames if frame.is_key} == {0, 3, 6}
    assert Counter(frame.index for frame in frames) == Counter(range(8))
    assert on_record(frames, 8, tmp_path) == 0


def test_of_several_references_the_best_one_is_on_record(tmp_path):
    for number, best in enumerate((2, 6)):
        network = FakeNetwork({2: 0.7, 6: 0.7, best: 0.8})
        frames = tracker_of(network, "references").track(CountedVideo(8), "it")
        folder = tmp_path / str(number)
        folder.mkdir()
        assert on_record(frames, 8, folder) == best


@pytest.mark.parametrize("name", SELECTORS)
def test_every_name_of_the_flag_is_a_selector(name):
    network = FakeNetwork()
    keys = start_points(name, network, 4, [1, 2])
    assert keys[0].index == 1


def test_the_default_is_the_released_choice():
    assert parse_settings([]).inference.key_frame_selector == "argmax"
