"""The synthetic set as files: same bytes, read by the project's own readers, and errors a person can act on."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inference_ytvos
from datasets.transforms import TrainTransform, video_range
from datasets.ytvos import YouTubeVOSDataset
from datasets.ytvos_videos import VideoCollection
from tools.data.check import check
from tools.data.make_synthetic import main
from tools.data.synthetic.conditions import SENTENCE_KINDS
from tools.data.synthetic.scene import Look
from util.mask_io import read_image, read_label_map

SPLITS = {"train": 3, "valid": 2, "test": 3}
SMALL = ("--videos", 3, "--valid", 2, "--test", 3, "--size", "72x128", "--frames", 8)


def make(folder, *flags):
    assert main([str(flag) for flag in ("--output", folder, *SMALL, *flags)]) == 0
    return folder


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def read_lists(root, split):
    expressions = json.loads((root / "meta_expressions" / split / "meta_expressions.json").read_text())["videos"]
    return expressions, json.loads((root / split / "meta.json").read_text())["videos"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make(tmp_path_factory.mktemp("synthetic") / "set")


def test_same_bytes_for_the_same_seed_whatever_the_workers(root, tmp_path):
    assert contents(make(tmp_path / "again", "--workers", 2)) == contents(root)
    other = contents(make(tmp_path / "other", "--seed", 1))
    frames = [name for name in contents(root) if name.endswith(".jpg")]
    assert all(other[name] != (root / name).read_bytes() for name in frames)


def test_simple_sentences_come_behind_the_others_of_train(root, tmp_path):
    more = make(tmp_path / "more", "--simple", 2)
    frames, others = contents(root), contents(more)
    assert all(others[name] == data for name, data in frames.items() if not name.endswith(".json"))
    for split in SPLITS:
        (before, objects), (after, objects_too) = read_lists(root, split), read_lists(more, split)
        assert objects == objects_too
        for name, video in before.items():
            known, both = video["expressions"], after[name]["expressions"]
            assert list(both.items())[: len(known)] == list(known.items())
            assert {e["kind"] for key, e in both.items() if key not in known} <= {"appearance"}
        count = sum(len(after[name]["expressions"]) - len(before[name]["expressions"]) for name in before)
        assert (count > 0) == (split == "train")


def test_frames_that_tell_are_the_videos_own(root):
    for split in SPLITS:
        for video in read_lists(root, split)[0].values():
            told = [e["told"] for e in video["expressions"].values()]
            assert all(set(frames) <= set(video["frames"]) for frames in told)


def test_what_is_missing_is_made_again_and_the_rest_is_left(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    lost, kept = (copy / "train" / "JPEGImages" / f"train_00000{number}" for number in (1, 2))
    shutil.rmtree(lost)
    (copy / "meta_expressions" / "train" / "meta_expressions.json").unlink()
    before = kept.stat().st_ino
    make(copy)
    assert contents(copy) == contents(root) and kept.stat().st_ino == before


def test_masks_are_what_meta_json_says(root):
    for split, count in SPLITS.items():
        expressions, meta = read_lists(root, split)
        assert len(expressions) == count and set(expressions) == set(meta)
        for video, entry in expressions.items():
            masks = {f: read_label_map(root / split / "Annotations" / video / f"{f}.png") for f in entry["frames"]}
            objects = meta[video]["objects"]
            for number, about in objects.items():
                assert about["frames"] == [name for name, mask in masks.items() if (mask == int(number)).any()]
            assert {str(n) for mask in masks.values() for n in np.unique(mask)} - {"0"} == set(objects)
            for name, mask in masks.items():
                assert read_image(root / split / "JPEGImages" / video / f"{name}.jpg").shape == (*mask.shape, 3)
                assert mask.shape == (72, 128)
            assert {e["kind"] for e in entry["expressions"].values()} <= set(SENTENCE_KINDS)
            assert all(e["obj_id"] in objects and e["property"] for e in entry["expressions"].values())


def test_the_readers_of_the_project_take_it(root):
    for split in SPLITS:
        videos, _ = read_lists(root, split)
        dataset = YouTubeVOSDataset(root, 5, TrainTransform(video_range(96)), split=split)
        sample = dataset[0, 0]
        assert sample.frames.shape[0] == 5
        collection = VideoCollection(root, split)  # of valid, the videos that test lists too would be left out
        assert [video.name for video in collection.videos] == sorted(videos)
    assert check("ytvos", root, deep=True).ok


def test_some_combinations_are_for_the_test_split_alone(root):
    flagged = 0
    for split in SPLITS:
        expressions, meta = read_lists(root, split)
        for video, entry in expressions.items():
            unseen = {
                number: Look(about["category"], about["colour"], about["pattern"], about["size"]).unseen
                for number, about in meta[video]["objects"].items()
            }
            assert split == "test" or not any(unseen.values())
            for expression in entry["expressions"].values():
                assert expression.get("unseen", False) == unseen[expression["obj_id"]]
                flagged += unseen[expression["obj_id"]]
    assert flagged > 0


def test_own_pictures_become_backgrounds(tmp_path):
    pictures = tmp_path / "pictures" / "video"
    pictures.mkdir(parents=True)
    Image.new("RGB", (50, 90), (20, 200, 30)).save(pictures / "00000.png")
    root = make(tmp_path / "set", "--backgrounds", tmp_path / "pictures")
    frame = read_image(root / "train" / "JPEGImages" / "train_000000" / "00000.jpg").astype(int)
    bare = read_label_map(root / "train" / "Annotations" / "train_000000" / "00000.png") == 0
    green = (frame[..., 1] > frame[..., 0] + 60) & (frame[..., 1] > frame[..., 2] + 60)
    assert green[bare].mean() > 0.8


def refused(program, *flags):
    outcome = program(lambda: main([str(flag) for flag in flags]))
    assert outcome.code == 2 and len(outcome.errors) == 1
    return outcome.errors[0]


def test_two_sets_are_never_mixed(root, tmp_path, program):
    assert "other flags" in refused(program, "--output", root, *SMALL, "--seed", 5)
    (tmp_path / "photo.jpg").touch()
    assert "not empty" in refused(program, "--output", tmp_path, *SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_backgrounds_that_cannot_be_used(tmp_path, program):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"no picture")
    for name, words in (("none", "no such folder"), ("empty", "no picture in it"), ("broken", "not an image")):
        message = refused(program, "--output", tmp_path / "set", *SMALL, "--backgrounds", tmp_path / name)
        assert name in message and words in message


@pytest.mark.parametrize(
    "flags",
    [
        ("--size", "192"),
        ("--size", "10x900"),
        ("--frames", "3"),
        ("--videos", "0"),
        ("--workers", "two"),
        ("--seed", "-1"),
    ],
)
def test_flags_that_make_no_sense(flags, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main([str(flag) for flag in ("--output", tmp_path / "set", *SMALL, *flags)])
    assert left.value.code == 2 and flags[0] in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


@pytest.mark.usefixtures("one_thread")
def test_inference_runs_over_it(root, inference_flags, program, tmp_path):
    flags = (*inference_flags, "--ytvos_path", root, "--output_dir", tmp_path)
    outcome = program(inference_ytvos.main, *flags)
    assert outcome.code == 0, outcome.err
    (archive,) = tmp_path.rglob("*.zip")
    expressions, _ = read_lists(root, "valid")
    with zipfile.ZipFile(archive) as submission:
        videos = {Path(name).parts[1] for name in submission.namelist()}
    assert videos == set(expressions)
