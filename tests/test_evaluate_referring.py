"""tools/evaluate.py on A2D-Sentences and JHMDB-Sentences: the release's figures, and bad files."""

import json
from pathlib import Path

import numpy as np
import pytest

from tools.evaluate import main
from util.coco_rle import encoded_masks

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "a2d-metrics"


@pytest.fixture
def files(tmp_path):
    """Ground truth of two images, a prediction of one of them."""
    mask = np.zeros((1, 10, 12), dtype=bool)
    mask[0, 2:6, 3:9] = True
    (code,) = encoded_masks(mask)
    truth = {
        "images": [{"id": name, "height": 10, "width": 12} for name in ("v_a_f_1", "v_b_f_1")],
        "annotations": [{"id": i, "image_id": f"v_{v}_f_1", "segmentation": code} for i, v in enumerate("ab")],
    }
    paths = tmp_path / "truth.json", tmp_path / "predictions.json"
    for path, content in zip(
        paths, (truth, [{"image_id": "v_a_f_1", "segmentation": code, "score": 0.9}]), strict=True
    ):
        path.write_text(json.dumps(content))
    return paths


def flags(dataset, truth, predictions):
    return ("--dataset", dataset, "--ground_truth", truth, "--results", predictions)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"the golden figures are not at {GOLDEN}")
def test_equals_the_released_evaluation(program, tmp_path):
    given = flags("a2d", GOLDEN / "ground-truth.json", GOLDEN / "predictions.json")
    outcome = program(main, *given, "--json", tmp_path / "scores.json")
    assert outcome.code == 0
    figures = json.loads((tmp_path / "scores.json").read_text())
    expected = json.loads((GOLDEN / "metrics.json").read_text())
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dataset", ["a2d", "jhmdb"])
def test_an_image_without_prediction_counts_as_nothing_and_is_counted(dataset, program, files, tmp_path):
    outcome = program(main, *flags(dataset, *files), "--csv", tmp_path / "s.csv", "--report", tmp_path / "report")
    assert outcome.code == 0
    assert "2 images, 1 of them without a prediction" in outcome.out
    assert "overall_iou                    0.5000" in outcome.out
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 2
    page = (tmp_path / "report" / "index.html").read_text()
    assert '<td>P@0.9</td><td class="number">0.5000</td>' in page
    assert "<svg" not in page


def test_bad_files_are_named(program, files):
    truth, predictions = files
    for pair in (truth, truth), (predictions, predictions), (truth, truth.with_name("none.json")):
        outcome = program(main, *flags("a2d", *pair))
        assert (outcome.code, len(outcome.errors)) == (2, 1)
        assert str(pair[1]) in outcome.errors[0]
