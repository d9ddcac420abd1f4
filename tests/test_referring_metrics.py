"""Scores of the single-frame sets: the release's figures, a case computed by hand, and what must always hold."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as rle_ops

from util.errors import InputError
from util.referring_metrics import (
    ground_truth_from,
    read_ground_truth,
    read_predictions,
    referring_scores,
)

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "a2d-metrics"
SIZE = (10, 10)


def first_pixels(count, size=SIZE):
    """A mask whose first `count` pixels, column by column, are the object."""
    return (np.arange(size[0] * size[1]) < count).reshape(size, order="F")


def rle(mask, text=True):
    encoded = rle_ops.encode(np.asfortranarray(mask, dtype=np.uint8))
    return encoded | {"counts": encoded["counts"].decode()} if text else encoded


def truth_of(masks):
    """Ground truth from image id → mask."""
    return ground_truth_from(
        {
            "images": [{"id": key, "height": m.shape[0], "width": m.shape[1]} for key, m in masks.items()],
            "annotations": [
                {"id": i, "image_id": key, "segmentation": rle(m)} for i, (key, m) in enumerate(masks.items())
            ],
        },
        "gt.json",
    )


def prediction(image_id, mask, score=0.5, **changes):
    return {"image_id": image_id, "category_id": 1, "segmentation": rle(mask), "score": score} | changes


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"the golden figures are not at {GOLDEN}")
def test_equals_the_released_evaluation(capsys):
    truth = read_ground_truth(GOLDEN / "ground-truth.json")
    scores = referring_scores(truth, read_predictions(GOLDEN / "predictions.json")).as_dict()
    expected = json.loads((GOLDEN / "metrics.json").read_text())
    assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert capsys.readouterr().out == ""


def test_a_case_computed_by_hand():
    """Four images with an object of 20 pixels: IoU 1, 15/20 and 10/30 of the best query, and none predicted."""
    truth = truth_of({name: first_pixels(20) for name in "abcd"})
    predictions = [
        prediction("a", first_pixels(20), 0.9),
        prediction("b", first_pixels(15), 0.8),
        prediction("c", first_pixels(20), 0.1),  # right, but not the best-scored
        prediction("c", np.roll(first_pixels(20), 1, axis=1), 0.7),
    ]
    scores = referring_scores(truth, predictions)
    assert scores.precision_at == (0.5, 0.5, 0.5, 0.25, 0.25)
    assert scores.overall_iou == pytest.approx((20 + 15 + 10 + 0) / (20 + 20 + 30 + 20))
    assert scores.mean_iou == pytest.approx((1 + 15 / 20 + 10 / 30 + 0) / 4, abs=1e-7)
    assert (scores.images, scores.without_prediction) == (4, 1)
    # Detections by score: a, b, c's wrong one, c's right one. At 0.5 to 0.75 the hits give precision 1 up to recall
    # 0.5 (51 of 101 points) and 3/4 up to 0.75 (25 points); above, b misses: 1 to 0.25 (26), 1/2 to 0.5 (25).
    low, high = (51 + 25 * 3 / 4) / 101, (26 + 25 / 2) / 101
    assert scores.all_queries.at_50 == scores.all_queries.at_75 == pytest.approx(low)
    assert scores.all_queries.mean == pytest.approx((6 * low + 4 * high) / 10)
    assert scores.best_query.mean == pytest.approx((6 * 51 + 4 * 26) / 101 / 10)
    assert (scores.all_queries.small, scores.all_queries.large) == (scores.all_queries.mean, -1)


def test_of_equal_scores_the_last_is_the_best():
    truth = truth_of({1: first_pixels(20)})
    right, wrong = prediction(1, first_pixels(20)), prediction(1, ~first_pixels(20))
    assert referring_scores(truth, [wrong, right]).mean_iou == 1
    assert referring_scores(truth, [right, wrong]).mean_iou < 1e-6


def test_no_prediction_at_all_scores_zero():
    scores = referring_scores(truth_of({"a": first_pixels(20), "b": first_pixels(0)}), [])
    assert scores.mean_iou == scores.overall_iou == scores.all_queries.mean == 0
    assert scores.without_prediction == 2


def test_an_object_numbered_0_in_the_file_counts_as_any_other():
    scores = referring_scores(truth_of({5: first_pixels(20)}), [prediction(5, first_pixels(20))])
    assert scores.all_queries.mean == pytest.approx(1)


def test_ids_of_both_types_and_masks_in_every_form():
    square = np.zeros(SIZE, dtype=bool)
    square[2:6, 3:8] = True
    runs = [32, 4, 6, 4, 6, 4, 6, 4, 6, 4, 24]
    forms = {
        "polygon": [[3, 2, 8, 2, 8, 6, 3, 6]],
        "list": {"size": list(SIZE), "counts": runs},
        "text": rle(square),
        7: rle(square, text=False),
    }
    truth = truth_of(dict.fromkeys(forms, square))
    predictions = [prediction(key, square, segmentation=form) for key, form in forms.items()]
    assert referring_scores(truth, predictions).mean_iou == 1


def test_input_is_left_as_it_was():
    truth, predictions = truth_of({"a": first_pixels(20)}), [prediction("a", first_pixels(10))]
    before = copy.deepcopy((truth, predictions))
    referring_scores(truth, predictions)
    assert (truth, predictions) == before


GOOD = rle(first_pixels(20))
BAD_PREDICTIONS = {
    "list": {"image_id": "a"},
    "ground truth does not list": [prediction("b", first_pixels(1))],
    "image_id": [prediction(["a"], first_pixels(1))],
    "size": [prediction("a", first_pixels(1, (5, 20)))],
    "finite number": [prediction("a", first_pixels(1), float("nan"))],
    "it is None": [{"image_id": "a", "segmentation": GOOD}],
    "cover": [prediction("a", first_pixels(1), segmentation={"size": [10, 10], "counts": "54"})],
    "cut off": [prediction("a", first_pixels(1), segmentation={"size": [10, 10], "counts": "d"})],
    "32 bits": [prediction("a", first_pixels(1), segmentation={"size": [10, 10], "counts": "oooooooooo0"})],
    "foreign": [prediction("a", first_pixels(1), segmentation={"size": [10, 10], "counts": "é\n"})],
    "negative": [prediction("a", first_pixels(1), segmentation={"size": [10, 10], "counts": "N2"})],
    "whole number": [prediction("a", first_pixels(1), segmentation={"size": [10, 10], "counts": [99.0, 1]})],
    "counts": [prediction("a", first_pixels(1), segmentation={"size": [10, 10]})],
    "RLE": [prediction("a", first_pixels(1), segmentation="20")],
    "polygon": [prediction("a", first_pixels(1), segmentation=[[1, 1, 5, 5]])],
}


@pytest.mark.parametrize(("message", "predictions"), BAD_PREDICTIONS.items(), ids=BAD_PREDICTIONS.keys())
def test_bad_predictions_are_refused(message, predictions):
    with pytest.raises(InputError, match=message) as error:
        referring_scores(truth_of({"a": first_pixels(20)}), predictions, "mine.json")
    assert "mine.json" in str(error.value)


IMAGE = {"id": "a", "height": 10, "width": 10}
BAD_TRUTHS = {
    "not a COCO ground truth": [],
    '"id", "height"': {"images": [{"id": "a"}], "annotations": []},
    "'a': no annotation": {"images": [IMAGE], "annotations": []},
    "'a': two annotations": {"images": [IMAGE], "annotations": [{"image_id": "a", "segmentation": GOOD}] * 2},
    "'z'": {"images": [IMAGE], "annotations": [{"image_id": "z", "segmentation": GOOD}]},
    "'a': the mask has size": {
        "images": [IMAGE | {"width": 11}],
        "annotations": [{"image_id": "a", "segmentation": GOOD}],
    },
}


@pytest.mark.parametrize(("message", "content"), BAD_TRUTHS.items(), ids=BAD_TRUTHS.keys())
def test_bad_ground_truth_is_refused(message, content, tmp_path):
    (tmp_path / "gt.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        read_ground_truth(tmp_path / "gt.json")
    assert "gt.json" in str(error.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "cut.json").write_text('[{"image_id"')
    with pytest.raises(InputError, match=r"cut\.json.*JSON"):
        read_predictions(tmp_path / "cut.json")
    with pytest.raises(InputError, match=r"none\.json"):
        read_ground_truth(tmp_path / "none.json")


masks = arrays(bool, (6, 7))
scored = st.lists(st.tuples(st.integers(0, 3), masks, st.floats(0, 1, width=32)), max_size=8)


@settings(max_examples=50, deadline=None)
@given(st.lists(masks, min_size=4, max_size=4), scored, st.randoms())
def test_equals_the_formula_on_decoded_masks_in_any_order_of_images(true, predicted, random):
    truth = truth_of(dict(enumerate(true)))
    predictions = [prediction(key, mask, score) for key, mask, score in predicted]
    ious = np.zeros(4)
    for key, mask in enumerate(true):
        mine = [(score, number, p) for number, (k, p, score) in enumerate(predicted) if k == key]
        if mine:
            best = max(mine, key=lambda entry: entry[:2])[2]
            ious[key] = ((best & mask).sum() + 1e-6) / ((best | mask).sum() + 1e-6)
    scores = referring_scores(truth, predictions)
    assert scores.mean_iou == pytest.approx(ious.mean(), abs=1e-12)
    assert scores.precision_at == tuple((ious > level).mean() for level in (0.5, 0.6, 0.7, 0.8, 0.9))
    order = list(range(4))
    random.shuffle(order)  # the images', while each image's predictions keep theirs
    shuffled = [entry for key in order for entry in predictions if entry["image_id"] == key]
    assert referring_scores(truth, shuffled) == scores
