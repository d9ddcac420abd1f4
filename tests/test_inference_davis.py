"""Ref-DAVIS17: from the converter's folder to four folders of palette PNGs, and how objects of a video are merged."""

import json

import numpy as np
import pytest
import torch
from conftest import write_frames
from PIL import Image

import inference_davis
from inference_davis import main, with_davis_defaults
from models.postprocessors import merge_objects
from models.propagation import TrackedFrame
from models.tracker import Tracker
from opts import parse_settings
from tools.data.convert_davis_to_ytvos import ANNOTATIONS, convert
from util.inference_run import Job
from util.mask_io import davis_palette, write_label_map

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (12, 16)
FRAMES = ("00000", "00003", "00007")  # not numbered from 0 by 1: results are
OBJECTS = {"pair": ("1", "3"), "solo": ("2",)}
NAMES = {f"anno_{number}/{video}/{i:05d}.png" for number in range(4) for video in OBJECTS for i in range(len(FRAMES))}


@pytest.fixture
def davis(tmp_path):
    """A Ref-DAVIS17 of two videos, three objects and twelve expressions, converted."""
    root = tmp_path / "ref-davis"
    base, texts = root / "DAVIS", root / "davis_text_annotations"
    lists = base / "ImageSets" / "2017"
    for folder in (lists, texts):
        folder.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(OBJECTS))
    (lists / "train.txt").write_text("")
    semantics = {video: dict.fromkeys(objects, "thing") for video, objects in OBJECTS.items()}
    (base / "davis_semantics.json").write_text(json.dumps(semantics))
    for video, objects in OBJECTS.items():
        write_frames(base / "JPEGImages" / "480p" / video, FRAMES, SIZE)
        for frame in FRAMES:
            labels = np.full(SIZE, int(objects[0]), np.uint8)
            write_label_map(base / "Annotations_unsupervised" / "480p" / video / f"{frame}.png", labels)
    for number, (name, _) in enumerate(ANNOTATIONS):
        lines = [f'{video} {key} "{video} {key} {number}"' for video, keys in OBJECTS.items() for key in keys]
        (texts / name).write_text("\n".join(lines))
    convert(root, root, "copy")
    return root


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


@pytest.fixture
def run(program, davis, inference_flags, output):
    return lambda *flags: program(main, *inference_flags, "--davis_path", davis, "--output_dir", output, *flags)


@pytest.fixture
def tracked(monkeypatch):
    """Every sentence answered by hand, "<video> <object> <annotation>"; a list that grows by each as it is asked.

    Object 1 is everywhere at 0.6, object 3 in the left half at 0.9 in annotation 0 and at 0.4 in the others, object 2
    at 0.45.
    """
    asked = []

    def track(self, video, captions, given=None):
        asked.extend(captions)
        for index in range(len(video)):
            _ = video[index]
            for number, caption in enumerate(captions):
                _, key, annotation = caption.split()
                probability = torch.full(SIZE, {"1": 0.6, "2": 0.45, "3": 0.1}[key])
                if key == "3":
                    probability[:, :8] = 0.9 if annotation == "0" else 0.4
                yield number, TrackedFrame(index, probability, None, is_key=index == 0)

    monkeypatch.setattr(Tracker, "track_together", track)
    return asked


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labels_of(output, annotation, video, index=0):
    return np.array(Image.open(output / "valid" / f"anno_{annotation}" / video / f"{index:05d}.png"))


def failed(outcome, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line


# ---- merging


def test_objects_are_merged_by_hand_numbers():
    """Columns: alone over 0.5; the higher of two; under 0.5; one under and one over; exactly 0.5; a tie."""
    probabilities = torch.tensor([[[0.6, 0.7, 0.49, 0.4, 0.5, 0.8]], [[0.0, 0.9, 0.3, 0.51, 0.0, 0.8]]])
    assert merge_objects(probabilities, [4, 9]).tolist() == [[4, 9, 0, 9, 4, 4]]
    assert merge_objects(probabilities, [4, 9]).dtype == torch.uint8
    assert merge_objects(probabilities[:1], [7], threshold=0.65).tolist() == [[0, 7, 0, 0, 0, 7]]


def test_the_background_is_a_tenth():
    probabilities = torch.tensor([[[0.05, 0.1, 0.11, 0.3]]])
    assert merge_objects(probabilities, [1], threshold=0.0).tolist() == [[0, 0, 1, 1]]


def test_merging_in_the_script(run, output, tracked):
    assert run().code == 0
    assert len(tracked) == len(set(tracked)) == 12
    for index in range(len(FRAMES)):
        first = labels_of(output, 0, "pair", index)
        assert np.unique(first[:, :8]).tolist() == [3]
        assert np.unique(first[:, 8:]).tolist() == [1]
        for annotation in (1, 2, 3):
            assert np.unique(labels_of(output, annotation, "pair", index)).tolist() == [1]
        assert not labels_of(output, 0, "solo", index).any()
    assert run("--threshold", "0.4", "--overwrite").code == 0
    assert np.unique(labels_of(output, 0, "solo")).tolist() == [2]


# ---- what a run writes


def test_four_folders_of_palette_pngs(run, output, segmented):
    outcome = run()
    assert outcome.code == 0, outcome.err
    assert "2 videos × 4 annotations" in outcome.out
    assert set(files_in(output)) == {f"valid/{name}" for name in NAMES}
    for name in NAMES:
        with Image.open(output / "valid" / name) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "P", SIZE[::-1])
            assert image.getpalette() == davis_palette()
            objects = OBJECTS[name.split("/")[1]]
            assert set(np.unique(image)) <= {0, *map(int, objects)}
    assert len(segmented) == 12 * (3 + 1 + 2)


def test_pictures_of_all_objects_together(run, output, tracked):
    """Asked for later, what is finished is computed again: its scores are gone."""
    assert run().code == 0
    tracked.clear()
    assert run("--visualize").code == 0
    assert len(tracked) == 12
    beside = {f"anno_{n}/{video}_{what}.png" for n in range(4) for video in OBJECTS for what in ("overview", "scores")}
    assert set(files_in(output / "valid_images")) == NAMES | beside
    assert set(files_in(output / "valid")) == NAMES
    tracked.clear()
    assert run("--visualize").code == 0
    assert tracked == []


def test_an_objects_marks_wait_with_it(run, output, davis, monkeypatch):
    """A stop between the objects of a video: the picture shows the first one's box too."""
    monkeypatch.setattr(Job.parts, "__defaults__", (1,))
    keep = inference_davis.keep_probabilities

    def stopped(run, tracker, job, bar):
        if job.expressions[0].id == "4":
            raise KeyboardInterrupt
        keep(run, tracker, job, bar)

    with monkeypatch.context() as patch:
        patch.setattr(inference_davis, "keep_probabilities", stopped)
        assert run("--visualize").code == 130
    (waiting,) = output.rglob("*.json")
    assert len(json.loads(waiting.read_text())["boxes"]) == len(FRAMES)
    drawn = []
    monkeypatch.setattr(inference_davis, "write_pictures", lambda tracks, folder: drawn.append(tracks.records))
    assert run("--visualize").code == 0
    assert {len(record.marks) for records in drawn for record in records} == {len(FRAMES)}


def test_without_tracking_clips_of_36_frames(tiny_flags):
    def clip_frames(*flags):
        return with_davis_defaults(parse_settings([*tiny_flags, *flags])).inference.clip_frames

    assert (clip_frames(), clip_frames("--clip_frames", "7")) == (36, 7)


def test_without_tracking(run, output, segmented):
    assert run("--no_tracking").code == 0
    assert [(frames, reference) for _, frames, reference in segmented] == 12 * [(3, False)]
    assert set(files_in(output / "valid")) == NAMES


# ---- going on after a stop


def test_a_finished_video_is_never_computed_twice(run, output, tracked):
    assert run().code == 0
    wanted = files_in(output)
    tracked.clear()
    assert run().code == 0
    assert tracked == []
    (output / "valid" / "anno_2" / "pair" / "00001.png").unlink()
    assert run().code == 0
    assert tracked == ["pair 1 2", "pair 3 2"]
    tracked.clear()
    assert run("--overwrite").code == 0
    assert len(tracked) == 12
    assert files_in(output) == wanted


def test_an_interrupted_video_keeps_its_finished_objects(run, output, tracked, monkeypatch):
    """Objects are segmented one by one here, so that the second can be interrupted."""
    monkeypatch.setattr(Job.parts, "__defaults__", (1,))
    track = Tracker.track_together

    def interrupted(self, video, captions, given=None):
        for number, frame in track(self, video, captions, given):
            if captions == ["pair 3 0"] and frame.index == 1:
                raise KeyboardInterrupt
            yield number, frame

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "track_together", interrupted)
        outcome = run()
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    assert tracked == ["pair 1 0", "pair 3 0"]
    assert set(files_in(output / "valid")) == {".objects/pair/0.npy"}
    tracked.clear()
    assert run().code == 0
    assert "pair 1 0" not in tracked
    assert tracked[0] == "pair 3 0"
    assert len(tracked) == 11
    assert set(files_in(output / "valid")) == NAMES
    assert np.unique(labels_of(output, 0, "pair")).tolist() == [1, 3]


# ---- bad input


def test_a_truncated_frame_spoils_its_video_alone(run, davis, output, tracked):
    path = davis / "valid" / "JPEGImages" / "pair" / "00003.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    failed(run(), path)
    assert {name for name in files_in(output / "valid") if name.endswith(".png")} == {n for n in NAMES if "solo" in n}
    path.write_bytes(whole)
    tracked.clear()
    assert run().code == 0
    assert len(tracked) == 8, "the broken video's expressions alone"
    assert set(files_in(output / "valid")) == NAMES


@pytest.mark.parametrize("old", ["0", "7"])
@pytest.mark.parametrize("new", ["x", "12"])
def test_expressions_not_numbered_as_the_converter_does(run, davis, old, new):
    path = davis / "meta_expressions" / "valid" / "meta_expressions.json"
    content = json.loads(path.read_text())
    expressions = content["videos"]["pair"]["expressions"]
    expressions[new] = expressions.pop(old)
    path.write_text(json.dumps(content))
    failed(run(), "video 'pair'", "4·object + annotation", "convert_davis_to_ytvos.py")


def test_no_converted_folder(run, davis):
    path = davis / "meta_expressions" / "valid" / "meta_expressions.json"
    path.unlink()
    failed(run(), path, "No such file")


def test_a_file_in_the_way(run, output, tracked):
    output.mkdir()
    (output / "valid").write_text("in the way")
    failed(run(), "cannot write", output / "valid")
    assert (output / "valid").read_text() == "in the way"


def test_memory_holds_one_frame_at_a_time(run, tracked, monkeypatch):
    """Objects wait on disk, mapped, and frames are merged one by one."""
    shapes = []
    merge = inference_davis.merge_objects
    monkeypatch.setattr(
        inference_davis, "merge_objects", lambda p, *rest: (shapes.append(tuple(p.shape)), merge(p, *rest))[1]
    )
    assert run().code == 0
    assert set(shapes) == {(2, *SIZE), (1, *SIZE)}
