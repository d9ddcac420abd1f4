"""Ref-YouTube-VOS: what a run writes, what it takes from outside, how it goes on after a stop."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import YTVOS_FRAMES, YTVOS_SIZE, YTVOS_VIDEOS, write_expressions, write_frames
from PIL import Image

import inference_frame_key
from inference_ytvos import main
from models.frame_segmenter import FrameSegmenter
from models.ops.functions import fastest_products, onednn_products, products
from tools.make_untrained import make_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")
EXPRESSIONS = [(video, key) for video, expressions in YTVOS_VIDEOS.items() for key in expressions]
HEIGHT, WIDTH = YTVOS_SIZE
LENGTH = len(YTVOS_FRAMES)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


@pytest.fixture
def run(program, ytvos, inference_flags, output):
    return runner(program, ytvos, inference_flags, output)


def runner(program, ytvos, inference_flags, output):
    """run(*flags) -> Outcome, with the tiny network on the tiny data set, results under `output`."""
    return lambda *flags: program(main, *inference_flags, "--ytvos_path", ytvos, "--output_dir", output, *flags)


def done(outcome):
    assert outcome.code == 0, outcome.err
    assert outcome.errors == []
    return outcome


def failed(outcome, *parts):
    """One clear line, exit code 2."""
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line
    return outcome


def refused(outcome, *parts):
    """The same, before anything was done: nothing else is said."""
    failed(outcome, *parts)
    assert len(outcome.err.splitlines()) == 1, outcome.err


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(path):
    return np.array(Image.open(path))


def record(output, video, key):
    return json.loads((output / "valid_scores" / video / f"{key}.json").read_text())


# ---- what a run writes


@pytest.mark.parametrize("way", ["amx", "onednn", "autocast"])
def test_precision(run, output, monkeypatch, way):
    """Another precision, on packed layers or without: other scores, but nearly the same."""
    there = {"amx": products.available(), "onednn": onednn_products.available(1), "autocast": True}
    if not there[way]:
        pytest.skip(f"no {way} on this machine")
    monkeypatch.setattr(products, "available", lambda: way == "amx")
    monkeypatch.setattr(fastest_products, "available", lambda terms: way != "autocast")
    scores = {}
    for precision in ("fp32", "bf16"):
        done(run("--precision", precision, "--overwrite", "--key_candidates", "1"))
        scores[precision] = [list(record(output, *which)["scores"].values()) for which in EXPRESSIONS]
    assert scores["bf16"] != scores["fp32"]
    np.testing.assert_allclose(scores["bf16"], scores["fp32"], atol=1e-2)


def test_masks_scores_key_frames_and_zip(run, output):
    assert f"{output / 'valid.zip'}: 12 masks of 3 expressions" in done(run()).out
    expected = {f"{video}/{key}/{frame}.png" for video, key in EXPRESSIONS for frame in YTVOS_FRAMES}
    assert set(files_in(output / "valid")) == expected
    for name in expected:
        with Image.open(output / "valid" / name) as mask:
            assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (WIDTH, HEIGHT))
            assert set(np.unique(mask)) <= {0, 255}
    for video, key in EXPRESSIONS:
        content = record(output, video, key)
        assert content["expression"] == YTVOS_VIDEOS[video][key]
        assert content["key_frame"] in YTVOS_FRAMES
        assert tuple(content["scores"]) == YTVOS_FRAMES
        assert all(0 < score < 1 for score in content["scores"].values())
    with zipfile.ZipFile(output / "valid.zip") as archive:
        assert set(archive.namelist()) == {f"Annotations/{name}" for name in expected}
        for name in expected:
            assert archive.read(f"Annotations/{name}") == (output / "valid" / name).read_bytes()
    chosen = json.loads((output / "valid_key_frames.json").read_text())
    assert chosen == {
        video: {key: record(output, video, key)["key_frame"] for key in YTVOS_VIDEOS[video]} for video in YTVOS_VIDEOS
    }
    assert {path.name for path in output.iterdir()} == {"valid", "valid_scores", "valid_key_frames.json", "valid.zip"}


def test_validation_is_valid_without_test_and_the_test_split_runs(run, ytvos, output):
    exam = {"exam": {"0": "the red ball"}}
    write_frames(ytvos / "test" / "JPEGImages" / "exam", YTVOS_FRAMES[:2])
    write_expressions(ytvos, "test", exam, YTVOS_FRAMES[:2])
    write_expressions(ytvos, "valid", {"exam": exam["exam"], **YTVOS_VIDEOS})
    done(run())
    assert {path.name for path in (output / "valid").iterdir()} == set(YTVOS_VIDEOS)
    done(run("--split", "test"))
    with zipfile.ZipFile(output / "test.zip") as archive:
        assert archive.namelist() == [f"Annotations/exam/0/{frame}.png" for frame in YTVOS_FRAMES[:2]]


def test_the_released_name_is_the_same_program(program, run, ytvos, inference_flags, output):
    assert inference_frame_key.main is main
    done(run("--visualize"))
    beside = {f"{video}/{key}_{what}.png" for video, key in EXPRESSIONS for what in ("overview", "scores")}
    assert set(files_in(output / "valid_images")) == set(files_in(output / "valid")) | beside
    shapes = {read(path).shape for path in (output / "valid_images" / "beach" / "0").iterdir()}
    ((height, *rest),) = shapes
    assert rest == [WIDTH, 3]
    assert height > HEIGHT, "the strip lies above the frame"
    for box in record(output, "beach", "0")["boxes"].values():
        assert box[0] <= box[2] <= 1.5 * WIDTH
    elsewhere = output.with_name("other")
    flags = (*inference_flags, "--ytvos_path", ytvos, "--output_dir", elsewhere)
    done(program(inference_frame_key.main, *flags))
    assert (elsewhere / "valid.zip").read_bytes() == (output / "valid.zip").read_bytes()
    assert not (elsewhere / "valid_images").exists()


def test_the_threshold(run, output):
    done(run("--threshold", "0"))
    assert all(read(path).min() == 255 for path in (output / "valid").rglob("*.png"))
    done(run("--threshold", "1", "--overwrite"))
    assert all(read(path).max() == 0 for path in (output / "valid").rglob("*.png"))


# ---- key frames and masks from outside


def test_the_networks_key_frames_fed_back_give_the_same_masks(run, output, segmented):
    done(run())
    assert len(segmented) == 3 * (LENGTH + 1 + LENGTH - 1)  # all are scored, one has its mask found, the others follow
    wanted, keys = files_in(output / "valid"), output.with_name("keys.json")
    shutil.copy(output / "valid_key_frames.json", keys)
    segmented.clear()
    done(run("--key_frames", keys, "--overwrite"))
    assert files_in(output / "valid") == wanted
    assert sorted(reference for _, _, reference in segmented) == 3 * [False] + 9 * [True]


@pytest.mark.parametrize("name", [True, False])
def test_another_key_frame(run, output, name):
    index = {"beach": {"0": 3, "1": 0}, "street": {"0": 1}}
    keys = {video: {key: YTVOS_FRAMES[i] if name else i for key, i in of.items()} for video, of in index.items()}
    path = output.with_name("keys.json")
    path.write_text(json.dumps(keys))
    done(run("--key_frames", path))
    for video, key in EXPRESSIONS:
        assert record(output, video, key)["key_frame"] == YTVOS_FRAMES[index[video][key]]


def write_key_mask(folder, video, key, frame, size=YTVOS_SIZE):
    mask = np.zeros(size, np.uint8)
    mask[5:15, 20:50] = 255
    path = folder / video / key / f"{frame}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def test_given_key_masks_stand_and_are_not_computed(run, output, segmented):
    folder = output.with_name("masks")
    given = [write_key_mask(folder, video, key, "00010") for video, key in EXPRESSIONS]
    done(run("--key_masks", folder))
    for path, (video, key) in zip(given, EXPRESSIONS, strict=True):
        np.testing.assert_array_equal(read(output / "valid" / video / key / "00010.png"), read(path))
        content = record(output, video, key)
        assert content["key_frame"] == "00010"
        assert [frame for frame, score in content["scores"].items() if score is None] == ["00010"]
    assert [reference for _, _, reference in segmented] == 9 * [True]


def test_of_several_given_masks_the_network_picks_one(run, output, segmented):
    folder = output.with_name("masks")
    for video, key in EXPRESSIONS:
        for frame in ("00000", "00015"):
            write_key_mask(folder, video, key, frame)
    done(run("--key_masks", folder))
    assert sum(not reference for _, _, reference in segmented) == 3 * (2 + 1)
    for video, key in EXPRESSIONS:
        frame = record(output, video, key)["key_frame"]
        assert frame in ("00000", "00015")
        place = Path(video, key, f"{frame}.png")
        np.testing.assert_array_equal(read(output / "valid" / place), read(folder / place))


def test_another_network_finds_the_key_frame(run, output, segmented, text_encoder, tiny_flags, tmp_path):
    """Its make-up comes from its own file: the flags are the main network's."""
    other = tmp_path / "other.pth"
    make_checkpoint(other, text_encoder, (*tiny_flags, "--hidden_dim", "64", "--num_queries", "3"), seed=5)
    done(run("--key_model", other))
    widths = {reference: set() for reference in (False, True)}
    for network, _, reference in segmented:
        widths[reference].add(network.query_embed.weight.shape)
    assert widths == {False: {(3, 64)}, True: {(5, 32)}}


def test_key_candidates(run, output, segmented):
    done(run("--key_candidates", "1"))
    assert [record(output, video, key)["key_frame"] for video, key in EXPRESSIONS] == 3 * ["00010"]
    assert sum(not reference for _, _, reference in segmented) == 3


# ---- without tracking


def test_without_tracking_a_video_is_one_clip(run, output, segmented):
    done(run("--no_tracking"))
    assert [(frames, reference) for _, frames, reference in segmented] == 3 * [(LENGTH, False)]
    assert record(output, "beach", "0")["key_frame"] is None
    assert (output / "valid.zip").is_file()
    assert not (output / "valid_key_frames.json").exists(), "there are none"
    segmented.clear()
    done(run("--no_tracking", "--clip_frames", "3", "--overwrite"))
    assert [frames for _, frames, _ in segmented] == 3 * [3, 1]


# ---- going on after a stop


def test_a_finished_expression_is_never_computed_twice(run, output, segmented):
    done(run())
    archive, per_expression = (output / "valid.zip").read_bytes(), len(segmented) // 3
    segmented.clear()
    done(run())
    assert segmented == []
    shutil.rmtree(output / "valid" / "beach" / "1")
    (output / "valid.zip").unlink()
    done(run())
    assert len(segmented) == per_expression
    assert (output / "valid.zip").read_bytes() == archive
    segmented.clear()
    done(run("--overwrite"))
    assert len(segmented) == 3 * per_expression
    assert (output / "valid.zip").read_bytes() == archive


def test_interrupted_in_the_middle(run, output, segmented, monkeypatch):
    counted = FrameSegmenter.answer

    def interrupted(*arguments):
        if len(segmented) == 17:  # within the second video
            raise KeyboardInterrupt
        return counted(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FrameSegmenter, "answer", interrupted)
        outcome = run()
    assert outcome.code == 130
    assert "finished work is kept" in outcome.err
    assert "Traceback" not in outcome.err
    names = set(files_in(output))
    records = {f"valid_scores/beach/{key}.json" for key in "01"}
    assert names == records | {f"valid/beach/{key}/{frame}.png" for key in "01" for frame in YTVOS_FRAMES}
    segmented.clear()
    done(run())
    assert len(segmented) == 8
