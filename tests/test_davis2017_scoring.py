"""Scores of sequences and sets: the release's figures, the plain definition, and the rules of both tasks."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_davis2017_metrics import label_maps

from davis2017.evaluation import evaluate, score_all
from davis2017.ground_truth import GroundTruth, png_names
from davis2017.label_map import LabelMap
from davis2017.metrics import tolerance_radius
from davis2017.scoring import SequenceJob, score_frame, score_sequence
from davis2017.statistics import COLUMNS, Figures, decay
from davis2017.tasks import TASKS
from tools.bench.plain_scores import plain_f, plain_j, plain_sequence
from util.errors import InputError
from util.mask_io import write_label_map

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "davis-metrics"
SIZE = (30, 40)


def write_sequence(folder, maps):
    """Frames 00000.png, …; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{index:05d}.png" for index in range(len(maps)))
    for path, labels in zip(paths, maps, strict=True):
        write_label_map(path, labels)
    return paths


def job_of(tmp_path, truth, *results, task="unsupervised"):
    folders = [tmp_path / f"results-{number}" / "video" for number in range(len(results))]
    for folder, maps in zip(folders, results, strict=True):
        write_sequence(folder, maps)
    return SequenceJob("video", TASKS[task], write_sequence(tmp_path / "truth" / "video", truth), tuple(folders))


def labels_of(*boxes):
    """Object k + 1 fills rows and columns boxes[k] = (top, left, bottom, right)."""
    labels = np.zeros(SIZE, dtype=np.uint8)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = number
    return labels


LEFT, RIGHT = (5, 4, 20, 14), (8, 24, 25, 36)
TRUTH = [labels_of(LEFT, RIGHT)] * 4


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"the golden figures are not at {GOLDEN}")
@pytest.mark.parametrize("task", TASKS)
def test_equals_the_official_evaluation(task):
    truth = GOLDEN / "ground-truth"
    expected = json.loads((GOLDEN / "metrics.json").read_text())[task]
    sequences = {folder.name: png_names(folder) for folder in sorted(truth.iterdir())}
    scores = evaluate(GroundTruth(truth, sequences), [GOLDEN / "predictions"], TASKS[task], 1).results[0]
    figures = scores.total.as_dict()
    assert {name: expected[name] for name in COLUMNS} == pytest.approx(figures, abs=1e-6)
    objects = {score.name: [score.figures.j_mean, score.figures.f_mean] for score in scores.objects}
    assert objects.keys() == expected["per_object"].keys()
    for name, pair in expected["per_object"].items():
        assert objects[name] == pytest.approx(pair, abs=1e-6)


def test_objects_are_matched_once_a_sequence(tmp_path):
    swapped = labels_of(RIGHT, LEFT)
    (scores,) = score_sequence(job_of(tmp_path, TRUTH, [swapped, swapped, swapped, TRUTH[0]]))
    assert [(score.name, score.proposal_id, score.object_id) for score in scores] == [
        ("video_1", 1, 2),
        ("video_2", 2, 1),
    ]
    assert [score.figures.j_mean for score in scores] == [0.75, 0.75]


def test_semi_supervised_takes_ids_as_they_are_and_drops_both_ends(tmp_path):
    right, swapped = TRUTH[0], labels_of(RIGHT, LEFT)
    (scores,) = score_sequence(job_of(tmp_path, TRUTH, [swapped, right, swapped, swapped], task="semi-supervised"))
    assert [score.figures.j_mean for score in scores] == [0.5, 0.5]


def test_ends_that_are_not_scored_need_no_results(tmp_path):
    job = job_of(tmp_path, TRUTH, TRUTH, task="semi-supervised")
    for name in ("00000.png", "00003.png"):
        (job.results[0] / name).unlink()
    (scores,) = score_all([job], 1)
    assert scores[0][0].figures.j_mean == 1


def test_void_is_ignored_in_one_task_and_background_in_the_other(tmp_path):
    void = TRUTH[0].copy()
    void[5:20, 14:18] = 255  # beside the left object, which the results put there as well
    wide = labels_of((5, 4, 20, 18), RIGHT)
    truth, results = [void] * 4, [wide] * 4
    (ignored,) = score_sequence(job_of(tmp_path / "a", truth, results))
    assert [score.figures.j_mean for score in ignored] == [1, 1]
    (background,) = score_sequence(job_of(tmp_path / "b", truth, results, task="semi-supervised"))
    assert [score.figures.j_mean for score in background] == [10 / 14, 1]


def test_the_first_frame_says_how_many_objects_there_are(tmp_path):
    later = labels_of(LEFT, RIGHT, (0, 0, 3, 3))
    (scores,) = score_sequence(job_of(tmp_path, [TRUTH[0], later], [TRUTH[0], later]))
    assert [score.figures.j_mean for score in scores] == [1, 1]
    assert [score.object_id for score in scores] == [1, 2]


def test_a_proposal_that_is_nowhere_fits_an_object_that_is_gone(tmp_path):
    """Results lack object 2, which is to be seen in one frame of four: 1 in the other three, 0 there."""
    gone = labels_of(LEFT)
    (scores,) = score_sequence(job_of(tmp_path, [TRUTH[0], gone, gone, gone], [gone] * 4))
    assert [(score.object_id, score.figures.j_mean, score.figures.f_mean) for score in scores] == [
        (1, 1, 1),
        (2, 0.75, 0.75),
    ]


@pytest.mark.parametrize(("task", "most"), [("unsupervised", 20), ("semi-supervised", 2)])
def test_ids_have_a_limit(tmp_path, task, most):
    for number, allowed in ((most, True), (most + 1, False)):
        results = [labels.copy() for labels in TRUTH]
        results[2][0, 0] = number
        job = job_of(tmp_path / str(number), TRUTH, results, task=task)
        if allowed:
            assert len(score_sequence(job)[0]) == 2
        else:
            with pytest.raises(InputError, match=rf"00002\.png: id {number} is larger than {most}"):
                score_sequence(job)


def test_a_truth_without_objects_is_named(tmp_path):
    with pytest.raises(InputError, match=r"truth/video/00000\.png.*no object"):
        score_sequence(job_of(tmp_path, [labels_of(), TRUTH[0]], TRUTH[:2]))


def test_side_by_side_is_one_by_one(tmp_path):
    moved = [np.roll(labels, shift, 1) for shift, labels in enumerate(TRUTH)]
    both = score_sequence(job_of(tmp_path, TRUTH, moved, TRUTH))
    assert both[0] == score_sequence(job_of(tmp_path / "first", TRUTH, moved))[0]
    assert both[1] == score_sequence(job_of(tmp_path / "second", TRUTH, TRUTH))[0] != both[0]


def test_any_number_of_processes_gives_the_same(tmp_path):
    jobs = [job_of(tmp_path / str(n), TRUTH[:n], [np.roll(t, n, 1) for t in TRUTH[:n]]) for n in (2, 4, 3)]
    assert score_all(jobs, 2) == score_all(jobs, 1)
    assert len({scores[0][0].figures for scores in score_all(jobs, 1)}) == 3


@settings(max_examples=25, deadline=None)
@given(label_maps(4, 3), st.permutations((1, 2, 3)))
def test_equals_the_plain_definition_whatever_the_order_of_the_proposals(tmp_path_factory, maps, order):
    truth, results = maps[:2], maps[2:]
    truth[0][0, 0] = 3  # as many objects as there can be proposals
    job = job_of(tmp_path_factory.mktemp("set"), truth, results)
    ours = [(score.figures.j_mean + score.figures.f_mean) / 2 for score in score_sequence(job)[0]]
    plain = plain_sequence(job.frames[0].parents[1], job.results[0].parent, "video")
    assert ours == pytest.approx(plain, abs=1e-12)
    renamed = [np.array([0, *order], dtype=np.uint8)[labels] for labels in results]
    again = score_sequence(job_of(tmp_path_factory.mktemp("set"), truth, renamed))[0]
    # The sum, because which of equally good matches is taken is open.
    assert sum((score.figures.j_mean + score.figures.f_mean) / 2 for score in again) == pytest.approx(sum(ours))


@settings(max_examples=40, deadline=None)
@given(label_maps(2, 3), st.data())
def test_frames_with_void(maps, data):
    """All pairs of a frame at once are the plain definition on what is not void."""
    proposals, truth = maps
    void = np.array(data.draw(st.lists(st.booleans(), min_size=truth.size, max_size=truth.size))).reshape(truth.shape)
    scores = score_frame(proposals.copy(), LabelMap(truth * ~void, 3, tolerance_radius(*truth.shape)), void)
    for p in range(scores.shape[1]):
        for o in range(3):
            pair = (proposals == p + 1) & ~void, (truth == o + 1) & ~void
            assert scores[:, p, o].tolist() == [plain_j(*pair), plain_f(*pair)]


def test_statistics_computed_by_hand():
    """Eight frames: quarters end at round(1 + 7/4 · k) = 1, 3, 5, 6, 8, both ends included."""
    j = np.array([1, 0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2])
    figures = Figures.of_frames(j, np.ones(8)).as_dict()
    assert tuple(figures) == COLUMNS
    assert figures["J-Mean"] == pytest.approx(0.6)
    assert figures["J-Recall"] == 4 / 8  # 0.5 itself is not above 0.5
    assert figures["J-Decay"] == pytest.approx((1 + 0.9 + 0.8) / 3 - (0.4 + 0.3 + 0.2) / 3)
    assert (figures["F-Mean"], figures["F-Recall"], figures["F-Decay"]) == (1, 1, 0)
    assert figures["J&F-Mean"] == pytest.approx(0.8)


def test_decay_of_a_tie_rounds_up_and_of_long_videos_holds():
    assert decay(np.array([1.0, 1, 0])) == 1  # quarters end at 1, 1.5, 2, 2.5, 3: the last begins at 3, not at 2
    long = np.linspace(1, 0, 1001)
    assert decay(long) == pytest.approx(0.75)


def test_decay_of_one_frame_is_0():
    assert decay(np.array([0.3])) == 0
