"""Scores of Ref-YouTube-VOS results: equal to the definition, whole or refused, from a folder or a zip."""

import csv
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from davis2017.metrics import boundary_accuracy, region_similarity
from tools.evaluate import main
from util.mask_io import read_label_map, write_label_map, write_mask

SIZE = (24, 32)
FRAMES = ("00000", "00005", "00010")
ANNOTATED = {"beach": FRAMES, "street": FRAMES[::2]}  # a frame of street has no ground truth
SENTENCES = {
    "beach": {
        "0": {"exp": "the ball", "obj_id": "1", "kind": "appearance"},
        "1": {"exp": "the box that leaves", "obj_id": "2", "kind": "motion", "unseen": True},
        "2": {"exp": "the one on the left", "obj_id": 1, "kind": "position"},
    },
    "street": {"0": {"exp": "the car", "obj_id": "1", "kind": "motion"}},
}
EXPRESSIONS = [(video, key) for video, sentences in SENTENCES.items() for key in sentences]


def labels(video, frame):
    """Object 1 wanders to the right, object 2 is gone at the end."""
    ids, step = np.zeros(SIZE, dtype=np.uint8), FRAMES.index(frame) + 3 * (video == "street")
    ids[4:14, 3 + 2 * step : 13 + 2 * step] = 1
    if frame != FRAMES[-1]:
        ids[16:22, 20:29] = 2
    return ids


def predicted(video, key, frame):
    """The object, moved by as many pixels as its expression's id says."""
    return np.roll(labels(video, frame) == int(SENTENCES[video][key]["obj_id"]), int(key), axis=1)


@dataclass(frozen=True)
class Case:
    """A tiny set and results of it, to be broken at will."""

    root: Path

    @property
    def truth(self):
        return self.root / "set"

    @property
    def annotations(self):
        return self.truth / "valid" / "Annotations"

    @property
    def results(self):
        return self.root / "results"

    @property
    def first(self):
        return self.results / "beach" / "0" / "00000.png"

    def write_list(self, videos=SENTENCES, split="valid"):
        path = self.truth / "meta_expressions" / split / "meta_expressions.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {name: {"expressions": sentences, "frames": FRAMES} for name, sentences in videos.items()}
        path.write_text(json.dumps({"videos": content}))
        return path

    def zipped(self, **first):
        """The results as a submission; `first`: what replaces the first one."""
        path = self.root / "valid.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for mask in sorted(self.results.rglob("*.png")):
                data = first.get("data", mask.read_bytes()) if mask == self.first else mask.read_bytes()
                archive.writestr(f"Annotations/{mask.relative_to(self.results)}", data)
        return path

    def flags(self, results=None):
        json_file = self.root / "scores.json"
        paths = ("--ground_truth", self.truth, "--results", results or self.results, "--json", json_file)
        return ("--dataset", "ytvos", *paths, "--workers", 1)

    def figures(self):
        return json.loads((self.root / "scores.json").read_text())


def made_case(root):
    """Ground truth of all annotated frames, and results for all of them that are right in part."""
    made = Case(root)
    made.write_list()
    for video, frames in ANNOTATED.items():
        for frame in frames:
            write_label_map(made.annotations / video / f"{frame}.png", labels(video, frame))
    for video, key in EXPRESSIONS:
        for frame in ANNOTATED[video]:
            write_mask(made.results / video / key / f"{frame}.png", predicted(video, key, frame))
    return made


@pytest.fixture
def case(tmp_path):
    return made_case(tmp_path)


def by_definition(video, key):
    """J&F, J and F of an expression."""
    pairs = [
        (predicted(video, key, frame), labels(video, frame) == int(SENTENCES[video][key]["obj_id"]))
        for frame in ANNOTATED[video]
    ]
    j = np.mean([region_similarity(*pair) for pair in pairs])
    f = np.mean([boundary_accuracy(*pair) for pair in pairs])
    return (j + f) / 2, j, f


def scores(entry):
    return tuple(entry[name] for name in ("J&F", "J", "F"))


def mean(expressions):
    return pytest.approx(tuple(np.mean([by_definition(*expression) for expression in expressions], axis=0)))


def test_scores_are_means_of_means_by_the_definition(program, case):
    outcome = program(main, *case.flags(), "--csv", case.root / "scores.csv")
    assert outcome.code == 0, outcome
    figures = case.figures()
    for video, key in EXPRESSIONS:
        entry = figures["videos"][video]["expressions"][key]
        assert scores(entry) == pytest.approx(by_definition(video, key))
        assert entry["sentence"] == SENTENCES[video][key]["exp"]
    assert scores(figures["videos"]["beach"]) == mean(EXPRESSIONS[:3])
    assert scores(figures["overall"]) == mean(EXPRESSIONS)  # not the mean over videos
    assert scores(figures["kinds"]["motion"]) == mean([("beach", "1"), ("street", "0")])
    assert scores(figures["kinds"]["unseen"]) == mean([("beach", "1")])
    assert figures["kinds"].keys() == {"appearance", "motion", "position", "unseen"}
    assert 0 < figures["overall"]["J"] < 1
    assert (figures["frames"], figures["frames_scored"]) == (6, 5)
    assert "5 of the list's 6 frames" in outcome.out
    assert f"{figures['overall']['J&F']:.4f}" in outcome.out
    rows = list(csv.DictReader((case.root / "scores.csv").open()))
    assert [(row["video"], row["expression"]) for row in rows] == EXPRESSIONS
    assert float(rows[1]["J"]) == figures["videos"]["beach"]["expressions"]["1"]["J"]


def test_the_truth_as_a_prediction_scores_one(program, case):
    for video, key in EXPRESSIONS:
        for frame in ANNOTATED[video]:
            true = labels(video, frame) == int(SENTENCES[video][key]["obj_id"])
            write_mask(case.results / video / key / f"{frame}.png", true)
    assert program(main, *case.flags()).code == 0
    assert scores(case.figures()["overall"]) == (1, 1, 1)


def test_a_zip_and_several_processes_give_the_same(program, case):
    figures = []
    for flags in case.flags(), (*case.flags(case.zipped()), "--workers", 2):
        assert program(main, *flags).code == 0
        figures.append({k: v for k, v in case.figures().items() if k != "results"})
    assert figures[0] == figures[1]


def test_void_counts_neither_way(program, case):
    for frame in FRAMES:
        ids = labels("beach", frame)
        ids[predicted("beach", "1", frame) != (ids == 2)] = 255
        write_label_map(case.annotations / "beach" / f"{frame}.png", ids)
    assert program(main, *case.flags()).code == 0
    assert scores(case.figures()["videos"]["beach"]["expressions"]["1"]) == (1, 1, 1)


def test_zeros_and_ones_are_read_and_noted(program, case):
    program(main, *case.flags())
    before = case.figures()
    Image.fromarray(predicted("beach", "0", FRAMES[0]).astype(np.uint8)).save(case.first)
    outcome = program(main, *case.flags())
    assert "note: 1 masks hold 0 and 1" in outcome.out
    assert case.figures() == before


def test_an_object_that_no_annotated_frame_shows_is_noted(program, case):
    for frame in ANNOTATED["street"]:
        write_label_map(case.annotations / "street" / f"{frame}.png", np.zeros(SIZE, dtype=np.uint8))
    outcome = program(main, *case.flags())
    assert (outcome.code, "1 expressions are on no annotated frame" in outcome.out) == (0, True)
    assert "street/0" in outcome.out


def without_ids(videos=SENTENCES):
    return {
        video: {key: {k: v for k, v in sentence.items() if k != "obj_id"} for key, sentence in sentences.items()}
        for video, sentences in videos.items()
    }


def test_a_list_without_object_ids_needs_another_one(program, case):
    complete = case.write_list().read_text()
    case.write_list(without_ids())
    outcome = program(main, *case.flags())
    assert outcome.code == 2
    assert "--expressions" in outcome.errors[0]
    (case.root / "with_ids.json").write_text(complete)
    outcome = program(main, *case.flags(), "--expressions", case.root / "with_ids.json")
    assert outcome.code == 0
    assert scores(case.figures()["overall"]) == mean(EXPRESSIONS)


def test_expressions_of_another_list_that_lacks_some_are_no_whole_set(program, case):
    part = case.write_list({"street": SENTENCES["street"]}).rename(case.root / "part.json")
    case.write_list(without_ids())
    outcome = program(main, *case.flags(), "--expressions", part)
    assert outcome.code == 2
    assert "3 of 4 expressions cannot be scored" in outcome.errors[0]
    outcome = program(main, *case.flags(), "--expressions", part, "--partial")
    assert outcome.code == 0
    assert scores(case.figures()["overall"]) == mean([("street", "0")])


def test_videos_of_the_test_list_are_not_expected(program, case):
    secret = {"secret": {"0": {"exp": "a dog"}}}
    case.write_list(SENTENCES | secret)
    assert program(main, *case.flags()).code == 2
    case.write_list(secret, split="test")
    assert program(main, *case.flags()).code == 0
    assert case.figures()["overall"]["expressions"] == 4


SETS = {
    "no annotations": (lambda case: case.annotations.rename(case.root / "away"), "Annotations: no such folder"),
    "no list": (lambda case: case.write_list().unlink(), "meta_expressions.json: cannot be read"),
    "kind": (lambda case: case.write_list({"beach": {"0": {"exp": "a", "obj_id": 1, "kind": 5}}}), '"kind" must be'),
    "no truth": (lambda case: (case.annotations / "street").rename(case.root / "away"), "no frame of its video"),
    "broken truth": (
        lambda case: (case.annotations / "street" / "00010.png").write_bytes(b"GIF"),
        "00010.png: the ground truth cannot be read",
    ),
}


@pytest.mark.parametrize(("damage", "message"), SETS.values(), ids=SETS)
def test_a_bad_data_set_is_one_line(damage, message, program, case):
    damage(case)
    outcome = program(main, *case.flags())
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert message in outcome.errors[0]


def test_the_ground_truth_is_no_result(program, case):
    for results in case.annotations, case.annotations / "beach":
        outcome = program(main, *case.flags(results))
        assert (outcome.code, "the ground truth itself" in outcome.errors[0]) == (2, True)


def test_nothing_left_is_no_partial_score(program, case):
    outcome = program(main, *case.flags(case.root / "set"), "--partial")
    assert (outcome.code, "4 of 4 expressions cannot be scored" in outcome.errors[0]) == (2, True)


def test_what_cannot_be_written_is_said_before_scoring(program, case):
    (case.root / "file").write_text("")
    outcome = program(main, *case.flags(), "--report", case.root / "file" / "report")
    assert (outcome.code, outcome.out, "cannot write" in outcome.errors[0]) == (2, "", True)
    assert program(main, *case.flags(), "--workers", 0).code == 2


def test_the_page_shows_scores_curves_and_worst_frames(program, case):
    frame = case.truth / "valid" / "JPEGImages" / "beach" / "00000.jpg"
    frame.parent.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1], (90, 120, 30)).save(frame)
    assert program(main, *case.flags(case.zipped()), "--report", case.root / "report").code == 0
    page = (case.root / "report" / "index.html").read_text()
    overall = case.figures()["overall"]
    assert f"{overall['J&F']:.4f}" in page
    assert page.count('class="curve"') == 8  # each of four expressions among the worst, and in the table of all
    assert page.count("data:image/jpeg;base64,") == 2 * (3 * 3 + 2)  # three frames each, street has but two
    assert "<td>motion unseen</td>" in page


def test_the_tiny_set_is_no_trivial_one(case):
    """Objects move, vanish and differ from their predictions."""
    assert read_label_map(case.annotations / "beach" / "00000.png").max() == 2
    assert by_definition("beach", "0") == (1, 1, 1)
    assert 0 < by_definition("beach", "2")[1] < by_definition("beach", "1")[1] < 1
