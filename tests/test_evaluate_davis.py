"""tools/evaluate.py on DAVIS: the figures of davis2017, and tracks that agree with them."""

import json

import numpy as np
import pytest

from davis2017.evaluation import evaluate
from davis2017.ground_truth import read_ground_truth
from davis2017.tasks import TASKS
from tools.evaluate import main
from tools.scoring import davis
from tools.scoring.evaluation import Request
from util.mask_io import write_label_map

SIZE = (24, 32)
FRAMES = ("00000", "00001", "00002")


def labels(shift, swap=False):
    """Two objects, and void between them."""
    ids = np.zeros(SIZE, dtype=np.uint8)
    ids[2:10, 4 + shift : 12 + shift], ids[12:22, 10 + shift : 24 + shift] = (2, 1) if swap else (1, 2)
    return ids


@pytest.fixture
def sets(tmp_path):
    """A DAVIS folder and results of two sequences; their ids are swapped, as proposals' are."""
    root = tmp_path / "DAVIS"
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("dog\ngoat\n")
    for sequence in "dog", "goat":
        for number, frame in enumerate(FRAMES):
            true = labels(number)
            true[0, :5] = 255
            write_label_map(root / "Annotations_unsupervised" / "480p" / sequence / f"{frame}.png", true)
            for annotation in range(4):
                path = tmp_path / "results" / f"anno_{annotation}" / sequence / f"{frame}.png"
                write_label_map(path, labels(number + annotation * (sequence == "goat"), swap=True))
    return root, tmp_path / "results"


def flags(root, results):
    return ("--dataset", "davis", "--ground_truth", root, "--results", results, "--workers", 1)


def test_the_mean_over_four_annotations_and_each_of_them(program, sets, tmp_path):
    files = {name: tmp_path / name for name in ("scores.json", "scores.csv")}
    outcome = program(main, *flags(*sets), "--json", files["scores.json"], "--csv", files["scores.csv"])
    assert outcome.code == 0, outcome
    figures = json.loads(files["scores.json"].read_text())
    root, results = sets
    truth = read_ground_truth(root, "val", TASKS["unsupervised"])
    for annotation in range(4):
        name = f"anno_{annotation}"
        (expected,) = evaluate(truth, [results / name], TASKS["unsupervised"], 1).results
        assert figures[name] == expected.total.as_dict()
    means = [figures[f"anno_{annotation}"]["J&F-Mean"] for annotation in range(4)]
    assert figures["overall"]["J&F-Mean"] == pytest.approx(np.mean(means))
    assert means[0] == 1 > means[3]
    assert len(files["scores.csv"].read_text().splitlines()) == 1 + 4 * 2 * 2
    assert "2 of 2 sequences" in outcome.out


def test_tracks_are_what_the_figures_are_means_of(sets):
    root, results = sets
    evaluation = davis.evaluate(Request("davis", root, results))
    tracks = evaluation.page().tracks
    rows = evaluation.figures["objects"]
    assert len(tracks) == len(rows) == 16
    by_name = {(row["sequence"], f"{row['results']} object {row['object']}"): row for row in rows}
    for track in tracks:
        row = by_name[track.video, track.id]
        assert track.means == pytest.approx((row["J&F-Mean"], row["J-Mean"], row["F-Mean"]))
        assert track.frames == FRAMES


def test_the_page_has_both_tables_and_the_worst_objects(program, sets, tmp_path):
    assert program(main, *flags(*sets), "--report", tmp_path / "report").code == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert all(text in page for text in ("J-Recall", "anno_3 object 2", "<td>goat</td>", "data:image/jpeg"))


def test_a_missing_frame_is_no_score_and_a_partial_one(program, sets, tmp_path):
    root, results = sets
    (results / "anno_2" / "dog" / "00001.png").unlink()
    outcome = program(main, *flags(root, results))
    assert (outcome.code, outcome.out) == (2, "")
    assert "anno_2/dog" in outcome.err
    outcome = program(main, *flags(root, results), "--partial", "--report", tmp_path / "report")
    assert outcome.code == 0
    assert "1 of 2 sequences" in outcome.out
    assert "left out" in (tmp_path / "report" / "index.html").read_text()


def test_the_ground_truth_is_no_result(program, sets):
    root, _ = sets
    outcome = program(main, *flags(root, root / "Annotations_unsupervised" / "480p"))
    assert (outcome.code, "ground truth itself" in outcome.errors[0]) == (2, True)
