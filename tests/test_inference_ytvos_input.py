"""inference_ytvos.py on what is missing, broken, or does not fit: one line, and the rest is finished."""

import json
from pathlib import Path

import pytest
from conftest import YTVOS_FRAMES, YTVOS_VIDEOS, write_expressions
from PIL import Image
from test_inference_ytvos import (
    HEIGHT,
    WIDTH,
    done,
    failed,
    files_in,
    refused,
    runner,
    write_key_mask,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


@pytest.fixture
def run(program, ytvos, inference_flags, output):
    return runner(program, ytvos, inference_flags, output)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def resize(path):
    Image.new("RGB", (WIDTH, HEIGHT + 2)).save(path)


def list_of(ytvos):
    return ytvos / "meta_expressions" / "valid" / "meta_expressions.json"


def test_a_missing_frame(run, ytvos, output, segmented):
    (ytvos / "valid" / "JPEGImages" / "beach" / "00005.jpg").unlink()
    refused(run(), list_of(ytvos), "beach/00005.jpg", "1 frames")
    assert segmented == []
    assert not output.exists()


@pytest.mark.parametrize("break_frame", [truncate, empty, resize])
def test_a_broken_frame_spoils_its_video_alone(run, ytvos, output, segmented, break_frame):
    path = ytvos / "valid" / "JPEGImages" / "beach" / "00005.jpg"
    whole = path.read_bytes()
    break_frame(path)
    failed(run(), path)
    assert set(files_in(output / "valid")) == {f"street/0/{frame}.png" for frame in YTVOS_FRAMES}
    assert not (output / "valid.zip").exists()
    assert not (output / "valid_key_frames.json").exists()
    path.write_bytes(whole)
    segmented.clear()
    done(run())
    assert len(segmented) == 2 * 8, "only the broken video's expressions"
    assert (output / "valid.zip").is_file()


def test_a_frame_of_another_size_says_both_sizes(run, ytvos):
    resize(ytvos / "valid" / "JPEGImages" / "street" / "00015.jpg")
    failed(run(), "street/00015.jpg", f"{WIDTH}×{HEIGHT + 2}", f"{WIDTH}×{HEIGHT}")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "must be a sentence that is not empty"), (" \t", "not empty"), ("ball " * 600, "tokens"), (None, "None")],
)
def test_expressions_that_cannot_be_read(run, ytvos, output, segmented, text, said):
    write_expressions(ytvos, "valid", YTVOS_VIDEOS | {"beach": {"0": text}})
    refused(run(), list_of(ytvos), "video 'beach', expression '0'", said)
    assert segmented == []
    assert not output.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"videos": {}}', '{"videos": {"beach": {"expressions": {}}}}'])
def test_a_broken_list_of_expressions(run, ytvos, content):
    list_of(ytvos).write_text(content)
    refused(run(), list_of(ytvos))


def test_no_list_of_expressions(run, ytvos):
    list_of(ytvos).unlink()
    refused(run(), list_of(ytvos), "No such file")


@pytest.mark.parametrize("name", ["", "none.pth"])
def test_no_checkpoint(run, output, tmp_path, name):
    refused(run("--resume", name and tmp_path / name), name or "no checkpoint", "--resume")
    assert not output.exists()


def test_a_checkpoint_that_is_none(run, tmp_path):
    path = tmp_path / "text.pth"
    path.write_text("no checkpoint")
    refused(run("--resume", path), path)


def test_no_checkpoint_of_the_key_model(run, tmp_path):
    failed(run("--key_model", tmp_path / "none.pth"), tmp_path / "none.pth")


@pytest.mark.parametrize("backbone", ["timm:test_resnet", "resnet50"])
def test_a_checkpoint_of_another_backbone(run, checkpoint, backbone, output, segmented):
    refused(run("--backbone", backbone), checkpoint, "not the weights of this network", "timm:test_efficientnet")
    assert segmented == []
    assert files_in(output) == {}


def test_a_key_frame_outside_the_video(run, output, segmented):
    keys = output.with_name("keys.json")
    keys.write_text(json.dumps({"beach": {"0": 0, "1": 4}, "street": {"0": 0}}))
    refused(run("--key_frames", keys), keys, "video 'beach', expression '1'", "key frame 4 is outside the video", "0–3")
    keys.write_text(json.dumps({"beach": {"0": 0, "1": 1}}))
    refused(run("--key_frames", keys), keys, "video 'street', expression '0'", "no key frame given")
    keys.write_text("{")
    refused(run("--key_frames", keys), keys, "JSON")
    refused(run("--key_frames", keys.with_name("none.json")), "none.json")
    assert segmented == []


def test_key_masks_that_do_not_fit(run, output):
    folder = output.with_name("masks")
    refused(run("--key_masks", folder), folder, "not a folder")
    write_key_mask(folder, "beach", "0", "00000")
    refused(run("--key_masks", folder), folder / "beach" / "1", "no mask")
    write_key_mask(folder, "beach", "1", "00000", size=(HEIGHT, WIDTH + 1))
    truncated = write_key_mask(folder, "street", "0", "00000")
    truncate(truncated)
    outcome = run("--key_masks", folder)
    assert outcome.code == 2
    size, broken = outcome.errors
    assert str(folder / "beach" / "1" / "00000.png") in size
    assert str(truncated) in broken
    assert {path.name for path in (output / "valid" / "beach").iterdir()} == {"0"}


@pytest.mark.parametrize("place", [".", "valid", "valid/street", "valid_scores", "valid_scores/street/0.json/x"])
def test_an_output_that_cannot_be_written(run, output, place):
    """A file stands in the way of a folder, or the other way round; rights would not stop root."""
    path = Path(output, place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    outcome = failed(run(), "cannot write", place.split("/")[0] if place != "." else output, "choose another place")
    assert path.read_text() == "in the way"
    if place == ".":
        refused(outcome)
