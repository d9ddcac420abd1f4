"""eval_davis.py from the command line: folders in, tables out, and what it says of results that are not whole."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from test_davis2017_scoring import TRUTH, write_sequence

import eval_davis
from davis2017.statistics import COLUMNS
from util.mask_io import write_label_map

SEQUENCES = ("goat", "camel")
ANNOTATIONS = ("anno_0", "anno_1", "anno_2", "anno_3")


@pytest.fixture
def davis(tmp_path):
    """A DAVIS folder with two sequences of four frames and two objects."""
    root = tmp_path / "DAVIS"
    for name in SEQUENCES:
        write_sequence(root / "Annotations_unsupervised" / "480p" / name, TRUTH)
    sets = root / "ImageSets" / "2017"
    sets.mkdir(parents=True)
    (sets / "val.txt").write_text("\n".join(SEQUENCES))
    return root


def write_results(folder, shift=2):
    for name in SEQUENCES:
        write_sequence(folder / name, [np.roll(labels, shift, 1) for labels in TRUTH])
    return folder


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "results")


@pytest.fixture
def score(program, davis):
    """Runs the program on results, in this process unless said otherwise."""

    def run(results, *flags):
        return program(eval_davis.main, "--results_path", results, "--davis_path", davis, "--workers", "1", *flags)

    return run


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_of_one_folder(score, results, tmp_path):
    outcome = score(results, "--json", tmp_path / "scores.json")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Annotations_unsupervised/480p" in outcome.out
    assert "unsupervised, val: 2 of 2 sequences" in outcome.out
    content = json.loads((tmp_path / "scores.json").read_text())
    (total,) = rows_of(results / "global_results-val.csv")
    assert tuple(total) == COLUMNS
    # Boxes of 10 and 12 columns moved by 2.
    assert content["J-Mean"] == pytest.approx((8 / 12 + 10 / 14) / 2)
    assert {name: float(cell) for name, cell in total.items()} == pytest.approx(
        {name: content[name] for name in COLUMNS}, abs=1e-6
    )
    objects = rows_of(results / "per-sequence_results-val.csv")
    assert [row["Sequence"] for row in objects] == ["goat_1", "goat_2", "camel_1", "camel_2"]
    assert float(objects[3]["J-Mean"]) == pytest.approx(10 / 14, abs=1e-6)
    assert content["per_object"]["camel_2"]["J-Mean"] == pytest.approx(10 / 14)
    assert (content["task"], content["set"], content["left_out"]) == ("unsupervised", "val", [])


def test_four_annotations_and_their_mean(score, results, tmp_path):
    shifts = dict(zip(ANNOTATIONS, (1, 2, 3, -1), strict=True))
    for name, shift in shifts.items():
        write_results(results / name, shift)
    outcome = score(results, "--json", tmp_path / "scores.json", "--workers", "2")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()[-5:]] == [*ANNOTATIONS, "mean"]
    content = json.loads((tmp_path / "scores.json").read_text())
    for name, shift in shifts.items():
        alone = score(write_results(tmp_path / "alone" / name, shift), "--json", tmp_path / "alone.json")
        assert alone.code == 0
        expected = json.loads((tmp_path / "alone.json").read_text())
        assert content["annotations"][name]["per_object"] == expected["per_object"]
        for table in ("global_results-val.csv", "per-sequence_results-val.csv"):
            assert (results / name / table).read_text() == (tmp_path / "alone" / name / table).read_text()
    for column in COLUMNS:
        mean = np.mean([content["annotations"][name][column] for name in ANNOTATIONS])
        assert content[column] == pytest.approx(mean)
        assert float(rows_of(results / "global_results-val.csv")[0][column]) == pytest.approx(mean, abs=1e-6)
    assert [row["Sequence"] for row in rows_of(results / "per-sequence_results-val.csv")] == list(SEQUENCES)


def test_semi_supervised_takes_the_annotations_that_are_there(score, results, davis):
    assert "Annotations_unsupervised/480p" in score(results, "--task", "semi-supervised").out
    own = davis / "Annotations" / "480p"
    for name in SEQUENCES:
        write_sequence(own / name, [labels // 2 for labels in TRUTH])  # one object
    outcome = score(results, "--task", "semi-supervised")
    assert outcome.code == 2
    assert "00001.png: id 2 is larger than 1" in outcome.err
    assert "Annotations_unsupervised" in score(results).out


def drop(folder):
    (folder / "goat" / "00002.png").unlink()


def write_smaller(folder):
    write_label_map(folder / "goat" / "00002.png", TRUTH[0][1:])


def write_mode(mode):
    def write(folder):
        Image.fromarray(TRUTH[0]).convert(mode).save(folder / "goat" / "00002.png")

    return write


def write_jpeg(folder):
    Image.fromarray(TRUTH[0]).save(folder / "goat" / "00002.png", format="JPEG")


def write_masks(folder):
    write_label_map(folder / "goat" / "00002.png", TRUTH[0] * 127)


def cut(folder):
    path = folder / "goat" / "00002.png"
    path.write_bytes(path.read_bytes()[:-40])


def drop_sequence(folder):
    for path in (folder / "goat").iterdir():
        path.unlink()


DAMAGES = {
    "1 of 4 frames are missing: 00002.png": drop,
    "no PNG in it": drop_sequence,
    "40×29 pixels, the ground truth has 40×30": write_smaller,
    "neither a palette nor an 8-bit grey": write_mode("RGB"),
    "8-bit grey": write_mode("1"),
    "not a PNG": write_jpeg,
    "id 254 is larger than 20": write_masks,
    "cannot be read": cut,
}


@pytest.mark.parametrize(("message", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_half_a_set_is_not_scored_unless_asked_for(score, results, message, damage):
    damage(results)
    outcome = score(results)
    assert outcome.code == 2
    assert len(outcome.errors) == 1 and "\\n" not in outcome.err
    assert message in outcome.err
    assert "results/goat" in outcome.err
    assert "camel" not in outcome.err
    assert not list(results.glob("*.csv"))
    partly = score(results, "--partial")
    assert partly.code == 0
    assert "1 of 2 sequences" in partly.out
    assert f"left out: {results / 'goat'}" in partly.out
    assert [row["Sequence"] for row in rows_of(results / "per-sequence_results-val.csv")] == ["camel_1", "camel_2"]


def test_a_sequence_that_one_annotation_lacks_is_left_out_of_all(score, results):
    for shift, name in enumerate(ANNOTATIONS, 1):
        write_results(results / name, shift)
    drop(results / "anno_2")
    assert score(results).code == 2
    assert score(results, "--partial").code == 0
    for name in ANNOTATIONS:
        rows = rows_of(results / name / "per-sequence_results-val.csv")
        assert [row["Sequence"] for row in rows] == ["camel_1", "camel_2"]


def test_an_annotation_may_be_missing_if_asked_for(score, results):
    for name in ANNOTATIONS[:3]:
        write_results(results / name)
    outcome = score(results)
    assert outcome.code == 2
    assert outcome.errors[0].startswith(f"{results / 'anno_3'}: no such folder")
    assert f"left out: {results / 'anno_3'}" in score(results, "--partial").out


def test_nothing_left_is_an_error(score, tmp_path):
    (tmp_path / "empty").mkdir()
    for flags in ((), ("--partial",)):
        outcome = score(tmp_path / "empty", *flags)
        assert outcome.code == 2
        assert "goat" in outcome.err
        assert "camel" in outcome.err


def test_the_list_of_offenders_ends(score, davis, results):
    (davis / "ImageSets" / "2017" / "val.txt").write_text("\n".join(f"missing-{n}" for n in range(30)))
    outcome = score(results)
    assert outcome.code == 2
    assert "missing-9: no ground truth" in outcome.err
    assert "missing-10" not in outcome.err
    assert "and 20 more" in outcome.err


def test_the_ground_truth_itself_is_no_result(score, davis, results):
    truth = davis / "Annotations_unsupervised" / "480p"
    copied = write_results(results / "copied", 0)
    for folder in (truth, copied):
        outcome = score(folder)
        assert outcome.code == 2
        assert "the ground truth's own files" in outcome.err
    write_label_map(copied / "goat" / "00001.png", TRUTH[0] // 2)
    assert score(copied).code == 0


def test_places_that_are_not_there_are_named(score, davis, results, tmp_path):
    for flags, message in (
        (("--results_path", tmp_path / "none"), "none: no such folder"),
        (("--set", "test-dev"), "test-dev.txt: cannot be read"),
        (("--davis_path", tmp_path), "--davis_path is the folder DAVIS itself"),
        (("--workers", "0"), "--workers 0"),
    ):
        outcome = score(results, *flags)
        assert outcome.code == 2
        assert message in outcome.errors[0]
    (davis / "Annotations_unsupervised").rename(davis / "elsewhere")
    assert "the ground truth is needed" in score(results).errors[0]
