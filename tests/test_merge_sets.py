"""tools/data/merge_sets.py: sets become one that training, inference and the doctor take."""

import json
import shutil

import numpy as np
import pytest
from conftest import YTVOS_FRAMES, YTVOS_SIZE, write_expressions, write_frames

from datasets.expressions import read_meta_expressions
from datasets.ytvos import YouTubeVOSDataset
from tools.data.check import check
from tools.data.merge_sets import main
from util.mask_io import read_image, write_label_map

ONE = {"beach": {"0": "the red ball", "1": "a small green square"}, "street": {"0": "The blue  ball"}}
TWO = {"beach": {"0": "the dog that stays"}, "forest": {"0": "a fox"}}


def write_set(root, videos, split="train"):
    """Videos whose frames and masks tell the sets apart; every expression has a kind."""
    shade = sum(root.name.encode()) % 100
    for video in videos:
        write_frames(root / split / "JPEGImages" / video, YTVOS_FRAMES)
        folder = root / split / "Annotations" / video
        folder.mkdir(parents=True)
        for frame in YTVOS_FRAMES:
            labels = np.zeros(YTVOS_SIZE, np.uint8)
            labels[:20, : 20 + shade % 60] = 1
            write_label_map(folder / f"{frame}.png", labels)
    path = write_expressions(root, split, videos)
    content = json.loads(path.read_text())
    for entry in content["videos"].values():
        for expression in entry["expressions"].values():
            expression.update(obj_id="1", kind="motion", twin=True)
    path.write_text(json.dumps(content))
    objects = {video: {"objects": {"1": {"category": "dog", "frames": list(YTVOS_FRAMES)}}} for video in videos}
    (root / split / "meta.json").write_text(json.dumps({"videos": objects}))
    return root


@pytest.fixture
def sets(tmp_path):
    return write_set(tmp_path / "first", ONE), write_set(tmp_path / "second", TWO)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "deep" / "merged"


@pytest.fixture
def merge(program, output):
    return lambda *flags: program(main, *flags, "--output", output)


def lists(root, split="train"):
    files = root / "meta_expressions" / split / "meta_expressions.json", root / split / "meta.json"
    return [json.loads(file.read_text())["videos"] for file in files]


def clips_of(dataset):
    """The caption of every clip, and how many pixels its masks have."""
    clips = (dataset.read(i, np.random.default_rng(0)) for i in range(len(dataset)))
    return [(clip.caption, int(clip.masks.sum())) for clip in clips]


def failed(outcome, output, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line
    assert not output.exists() or not [path for path in output.rglob("*") if path.is_file()]


def done(outcome):
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_sets_become_one_and_videos_of_one_name_are_told_apart(merge, sets, output):
    told = done(merge(*sets))
    assert f"{sets[0]}: 2 videos, 3 expressions, 1 renamed first_…" in told
    assert f"{output / 'train'}: 4 videos" in told
    merged, meta = lists(output)
    assert set(merged) == set(meta) == {"first_beach", "street", "second_beach", "forest"}
    for root, prefix in zip(sets, ("first_", "second_"), strict=True):
        expressions, objects = lists(root)
        assert merged[f"{prefix}beach"] == expressions["beach"], "with all of its fields"
        assert meta[f"{prefix}beach"] == objects["beach"]
        assert expressions["beach"]["expressions"]["0"]["kind"] == "motion"


def test_training_reads_it(merge, sets, output):
    done(merge(*sets))
    merged = YouTubeVOSDataset(output, 2, lambda clip, rng: clip)
    parts = [YouTubeVOSDataset(root, 2, lambda clip, rng: clip) for root in sets]
    assert len(merged) == sum(map(len, parts))
    whole, apart = (sorted(seen for dataset in sets for seen in clips_of(dataset)) for sets in ([merged], parts))
    assert whole == apart
    assert len({pixels for _, pixels in whole}) == 2, "the sets' masks differ"
    report = check("ytvos", output, splits=["train"], deep=True)
    assert report.ok, report.findings(wrong=True)


def test_a_set_that_is_repeated_weighs_more(merge, sets, output):
    told = done(merge(sets[0], "--repeat", sets[1], "3"))
    assert set(lists(output)[0]) == {"first_beach", "street"} | {
        f"{prefix}_{video}" for prefix in ("second", "second2", "second3") for video in TWO
    }
    merged, first, second = (len(YouTubeVOSDataset(root, 2, lambda clip, rng: clip)) for root in (output, *sets))
    assert merged == first + 3 * second
    assert "2 expressions, 2 renamed second_…, 3 times" in told and told.count("second") == 2


def test_links_are_relative_and_copies_are_none(merge, sets, output, tmp_path):
    done(merge(*sets))
    video = output / "train" / "JPEGImages" / "first_beach"
    assert video.is_symlink() and not video.readlink().is_absolute()
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert read_image(moved / video.relative_to(tmp_path) / "00000.jpg").shape[:2] == YTVOS_SIZE
    moved.rename(tmp_path)
    shutil.rmtree(output)
    done(merge(*sets, "--copy"))
    for root in sets:
        shutil.rmtree(root)
    assert not any(path.is_symlink() for path in output.rglob("*"))
    assert read_image(video / "00000.jpg").shape[:2] == YTVOS_SIZE


def test_sets_whose_folders_are_called_alike(merge, output, tmp_path):
    sets = write_set(tmp_path / "a" / "data", ONE), write_set(tmp_path / "b" / "data", TWO)
    done(merge(*sets))
    assert set(lists(output)[0]) == {"data_beach", "data2_beach", "street", "forest"}


def test_a_result_is_merged_again(merge, sets, output, tmp_path, program):
    done(merge(*sets))
    third = write_set(tmp_path / "third", {"river": {"0": "a boat"}})
    done(program(main, output, third, "--output", tmp_path / "all"))
    whole, *parts = (YouTubeVOSDataset(root, 2, lambda clip, rng: clip) for root in (tmp_path / "all", *sets, third))
    assert len(whole) == sum(map(len, parts))
    assert (tmp_path / "all" / "train" / "JPEGImages" / "first_beach").readlink().parts[-4] == "first"


def test_another_split_may_have_no_masks(merge, output, tmp_path):
    roots = [write_set(tmp_path / name, {name: {"0": "a fox"}}, "valid") for name in ("a", "b")]
    shutil.rmtree(roots[0] / "valid" / "Annotations")
    done(merge(*roots, "--split", "valid"))
    (names,) = ([v.name for v in read_meta_expressions(f)] for f in output.rglob("meta_expressions.json"))
    assert names == ["a", "b"]
    assert [path.name for path in (output / "valid" / "Annotations").iterdir()] == ["b"]


# ---- what is refused


def test_a_result_is_never_written_over(merge, sets, output):
    done(merge(*sets))
    before = lists(output)
    outcome = merge(sets[0])
    assert outcome.code == 2
    assert f"{output / 'train'} is there already" in outcome.errors[0]
    assert lists(output) == before


def test_sets_that_cannot_be_merged(merge, sets, output, tmp_path):
    failed(merge(sets[0], sets[1], sets[0] / ".." / "first"), output, sets[0], "given twice")
    failed(merge(*sets, "--repeat", sets[0], "3"), output, sets[0], "given twice")
    failed(merge(sets[0], "--repeat", sets[1], "0"), output, "--repeat", "0")
    failed(merge(sets[0], tmp_path / "none"), output, tmp_path / "none")
    failed(merge(*sets, "--split", "../train"), output, "--split")
    failed(merge(*sets, "--split", "valid"), output, "valid")


@pytest.mark.parametrize("kind", ["JPEGImages", "Annotations"])
@pytest.mark.parametrize("flag", [(), ("--copy",)])
def test_a_set_that_is_not_whole(merge, sets, output, kind, flag):
    shutil.rmtree(sets[1] / "train" / kind / "forest")
    failed(merge(*sets, *flag), output, sets[1] / "train" / kind, "lacks 1 videos", "forest")
    shutil.rmtree(sets[1] / "train" / kind)
    failed(merge(*sets, *flag), output, sets[1] / "train" / kind, "lacks 2 videos")


def test_names_that_prefixes_do_not_tell_apart(merge, output, tmp_path):
    sets = [
        write_set(tmp_path / "a", {"x": {"0": "a"}}),
        write_set(tmp_path / "b", {"x": {"0": "a"}, "a_x": {"0": "b"}}),
    ]
    failed(merge(*sets), output, "a_x", "rename a set's folder")
