"""Two folders of results side by side."""

import json

import numpy as np
import pytest
from conftest import YTVOS_FRAMES, YTVOS_SIZE, YTVOS_VIDEOS, write_expressions
from PIL import Image

from tools.compare_results import main
from tools.scoring.agreement import label_iou
from util.mask_io import write_label_map, write_mask

EXPRESSIONS = [(video, key) for video, expressions in YTVOS_VIDEOS.items() for key in expressions]


def columns(width):
    mask = np.zeros(YTVOS_SIZE, bool)
    mask[:, :width] = True
    return mask


@pytest.fixture
def results(tmp_path):
    """The same but for beach/1, where B is half of A in all frames, and nothing in the last."""
    for name in "AB":
        for video, key in EXPRESSIONS:
            for frame in YTVOS_FRAMES:
                odd = name == "B" and (video, key) == ("beach", "1")
                width = 0 if odd and frame == YTVOS_FRAMES[-1] else 20 if odd else 40
                write_mask(tmp_path / name / video / key / f"{frame}.png", columns(width))
    return tmp_path / "A", tmp_path / "B"


@pytest.fixture
def run(program, ytvos, results, tmp_path):
    frames = ytvos / "valid" / "JPEGImages"
    flags = (*results, "--frames", frames, "--output", tmp_path / "out", "--workers", "1")
    return lambda *more: program(main, *flags, *more)


def agreement_of(folder):
    return json.loads((folder / "out" / "agreement.json").read_text())


def test_the_least_alike_come_first(run, tmp_path):
    record = tmp_path / "A_scores" / "beach" / "1.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"expression": "a <small> square"}))
    assert run("--most", "2").code == 0
    content = agreement_of(tmp_path)
    assert list(content["expressions"]) == ["beach/1", "beach/0", "street/0"]
    odd = content["expressions"]["beach/1"]
    assert odd["iou"] == pytest.approx(3 * 0.5 / 4)
    assert (odd["worst_frame"], odd["worst_iou"]) == (YTVOS_FRAMES[-1], 0)
    assert content["expressions"]["beach/0"]["iou"] == 1
    assert content["mean_iou"] == pytest.approx((0.375 + 2) / 3)
    assert sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir()) == ["000.png", "001.png"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "a &lt;small&gt; square" in page
    assert page.count('src="data:image/jpeg') == 2
    assert "img-src data:;" in page


def test_the_truth_beside_them(run, ytvos, tmp_path):
    """Object 2 is B's half; the second frame is not annotated."""
    meta = write_expressions(ytvos, "valid", YTVOS_VIDEOS)
    content = json.loads(meta.read_text())
    for video, expressions in YTVOS_VIDEOS.items():
        for key in expressions:
            content["videos"][video]["expressions"][key]["obj_id"] = "2"
        for frame in (YTVOS_FRAMES[0], YTVOS_FRAMES[2]):
            path = ytvos / "valid" / "Annotations" / video / f"{frame}.png"
            write_label_map(path, columns(20).astype(np.uint8) * 2)
    meta.write_text(json.dumps(content))
    assert run("--ground_truth", ytvos).code == 0
    figures = agreement_of(tmp_path)["expressions"]["beach/1"]
    assert (figures["J_A"], figures["J_B"]) == (0.5, 1.0)
    assert figures["sentence"] == "a small green square"
    with Image.open(tmp_path / "out" / "pictures" / "000.png") as picture:
        assert picture.width == 4 * 420


def test_palette_results_and_lonely_tracks(program, ytvos, tmp_path):
    for name, second in (("A", 2), ("B", 0)):
        labels = columns(30).astype(np.uint8)
        labels[:, 60:] = second
        for video in ("beach",) if name == "B" else ("beach", "street"):
            write_label_map(tmp_path / name / "anno_0" / video / "00000.png", labels)
    frames = ytvos / "valid" / "JPEGImages"
    out = ("--output", tmp_path / "out", "--workers", "1")
    assert program(main, tmp_path / "A", tmp_path / "B", "--frames", frames, *out).code == 0
    content = agreement_of(tmp_path)
    assert content["expressions"]["anno_0/beach"]["iou"] == 0.5, "one of two objects"
    assert content["only_in_one"] == ["anno_0/street"]


def test_nothing_and_nothing_agree():
    empty = np.zeros((2, 2), np.uint8)
    assert label_iou(empty, empty) == 1
    assert label_iou(empty, empty + 1) == 0


def failed(outcome, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line


def test_what_cannot_be_compared_is_named(run, program, results, ytvos, tmp_path):
    failed(run("--frames", tmp_path / "none"), tmp_path / "none", "no such folder")
    failed(run("--frames", tmp_path), tmp_path, "no folder of frames for beach/0")
    failed(run("--workers", "0"), "--workers")
    (tmp_path / "C").mkdir()
    failed(program(main, results[0], tmp_path / "C", "--frames", ytvos, "--output", tmp_path / "out"), "no track")
    path = results[1] / "street" / "0" / f"{YTVOS_FRAMES[1]}.png"
    write_mask(path, np.zeros((5, 5), bool))
    failed(run(), "street/0/00005.png", "5")
    path.write_bytes(b"")
    failed(run(), path)
    path.unlink()
    failed(run(), "street/0", YTVOS_FRAMES[1])
