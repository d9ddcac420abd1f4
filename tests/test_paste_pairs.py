"""Pasting one clip's object into another: the pure part on arrays, the rules of words, and the tool on tiny clips."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from PIL import Image
from test_paste_compose import square

from datasets.expressions import read_meta_expressions
from datasets.transforms import TrainTransform, video_range
from datasets.ytvos import YouTubeVOSDataset
from tools.data.paste_pairs import main
from tools.data.pasting import compose
from tools.data.pasting.clips import Track
from tools.data.pasting.making import expressions, sides_of
from tools.data.pasting.pairing import PAIR, TWIN, Plan, pair_plans, twin_plans
from tools.data.pasting.paths import UnsuitableError, draw_path
from tools.data.pasting.subjects import Subject
from tools.data.pasting.words import deciding, occurring, on_the, subject_nouns
from util.mask_io import read_image, read_label_map, write_label_map

SIZE = (80, 120)
FRAMES = [f"{5 * number:05d}" for number in range(9)]
# Each video has one brightness a channel; its first object has another. (red, green, blue)
GROUND, OBJECT = (90, 90, 90), {"bears": (200, 60, 60), "geese": (60, 200, 60), "cars": (60, 60, 200)}
SAID = {
    "bears": {"0": ("a brown bear walking to the left", "1"), "1": ("a large animal", "1")},
    "geese": {"0": ("the goose", "3"), "1": ("a white bird on the right", "3"), "2": ("the pond", "7")},
    "cars": {"0": ("a Car", "1")},
}
CATEGORY = {"bears": "bear", "geese": "bird", "cars": "sedan"}


def write_video(root, video, said, size=SIZE):
    """An object of 20×24 pixels that goes right; in "geese" beside another one, which nobody may paste with it."""
    object_id = int(said["0"][1])
    for number, frame in enumerate(FRAMES):
        labels = np.zeros(size, np.uint8)
        labels[30:50, 20 + 5 * number : 44 + 5 * number] = object_id
        image = np.full((*size, 3), GROUND, np.uint8)
        image[labels == object_id] = OBJECT[video]
        if video == "geese":
            labels[60:70, 5:15] = 7
        file = root / "train" / "JPEGImages" / video / f"{frame}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file, quality=95)
        write_label_map(root / "train" / "Annotations" / video / f"{frame}.png", labels)


@pytest.fixture
def root(tmp_path):
    return write_clips(tmp_path / "in")


def write_clips(root):
    """A Ref-YouTube-VOS of three clips that pairs can be made of; returns `root`."""
    meta, lists = {}, {}
    for video, said in SAID.items():
        write_video(root, video, said)
        meta[video] = {"objects": {key: {"category": CATEGORY[video], "frames": FRAMES} for _, key in said.values()}}
        sentences = {i: {"exp": text, "obj_id": key} for i, (text, key) in said.items()}
        lists[video] = {"expressions": sentences, "frames": FRAMES}
    for part, content in (("train/meta.json", meta), ("meta_expressions/train/meta_expressions.json", lists)):
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (root / part).write_text(json.dumps({"videos": content}))
    return root


def paste(root, output, pairs, *flags):
    main(["--input", str(root), "--output", str(output), "--pairs", str(pairs), *map(str, flags)])
    return read_json(output / "meta_expressions" / "train" / "meta_expressions.json")


def read_json(file):
    return json.loads(file.read_bytes())["videos"]


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# --- compose ---------------------------------------------------------------------------------------------------------


def track(lefts, side=20, size=SIZE):
    return Track.of([square(left, 30, side, size) for left in lefts])


@pytest.mark.parametrize("kind", [PAIR, TWIN])
def test_both_show_in_the_first_frame_and_nearly_all_of_them_meet(kind):
    hosts, donors = ([square(left, 30, side, SIZE) for left in range(10, 70, 5)] for side in (20, 12))
    black = [np.zeros((*SIZE, 3), np.uint8)] * len(hosts)
    meetings = 0
    for seed in range(30):
        path = draw_path(Track.of(hosts), Track.of(donors), kind, np.random.default_rng(seed))
        shown, in_front = (
            np.array(
                [[(labels == key).sum() for key in (1, 2)] for _, labels in compose(black, hosts, black, donors, way)]
            )
            for way in (path, replace(path, in_front=True))
        )
        assert (shown[0] >= 0.45 * np.array([400, 144 * path.scale**2])).all()
        assert (shown.min(axis=1) >= 0.002 * np.prod(SIZE)).mean() >= 0.5
        meetings += in_front[:, 0].min() < 400
    assert meetings >= 28  # nine of ten are to


def test_a_short_donor_plays_to_and_fro_and_a_nearly_long_enough_one_shortens_the_clip():
    rng = np.random.default_rng(0)
    host = track(range(10, 70, 4))  # 15 frames
    sources = draw_path(host, track(range(20, 50, 6)), PAIR, rng).sources  # 5 frames
    assert len(sources) == 15 and (np.abs(np.diff(sources)) == 1).all() and set(sources) == set(range(5))
    assert np.array_equal(draw_path(host, track(range(20, 80, 5)), PAIR, rng).sources, np.arange(12))


def test_frames_that_do_not_show_the_whole_object_are_not_pasted():
    masks = [square(left, 30, 20, SIZE) for left in (0, 20, 25, 30, 35, 40, 45, 50, 100)]
    masks[4][:, 40:50] = False  # something stands in front of it
    masks[7][:, 58:] = False  # and before more than half of it
    assert Track.of(masks).whole.tolist() == [False, True, True, True, False, True, True, False, False]
    assert Track.of(masks).longest_whole() == range(1, 4)
    with pytest.raises(UnsuitableError, match="fewer than 4 frames"):
        draw_path(track(range(10, 70, 5)), Track.of(masks), PAIR, np.random.default_rng(0))


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "nouns", "on_the_left"),
    [
        ("a brown bear walking on rocks", {"bear"}, "a brown bear on the left walking on rocks"),
        ("a white fishing boat sailing", {"fishing", "boat"}, "a white fishing boat on the left sailing"),
        ("the motorbike and its riders", {"bike"}, "the motorbike on the left and its riders"),
        ("a brown and white dog", {"dog"}, "a brown and white dog on the left"),
        ("Two men with hats ", {"person"}, "Two men on the left with hats"),
        ("the bus", {"bus"}, "the bus on the left"),
        ("in the middle a small train", {"train"}, "in the middle a small train on the left"),
    ],
)
def test_what_a_sentence_is_about(sentence, nouns, on_the_left):
    assert subject_nouns(sentence) == nouns
    assert on_the("left", sentence) == on_the_left


def test_sentences_that_hold_for_the_other_too_do_not_decide():
    bear = ["a brown bear", "the animal on the rocks", "the one that walks", "a rock"]
    assert deciding(bear, occurring(["giant_panda"])) == ["a rock"]  # a panda is a bear
    assert deciding(bear, occurring(["a dog near a boat"])) == ["a brown bear", "a rock"]  # and a dog an animal
    assert deciding(bear, occurring(["a man walking on rocks"])) == ["a brown bear", "the animal on the rocks"]
    assert deciding(["a woman", "the rider"], occurring(["person"])) == []


def subject(video, *sentences, category=None, said=()):
    return Subject(video, tuple(FRAMES), 1, category, sentences, (*sentences, category or "", *said))


def test_pairs_are_of_two_videos_that_sentences_tell_apart_and_none_comes_twice_before_all_did():
    subjects = [
        subject("a", "the dog"),
        subject("b", "the puppy"),
        subject("c", "a man"),
        subject("d", "a boat", said=["the man on the pier"]),
        subject("d", "a fish", "an animal", said=["the man on the pier"]),
    ]
    plans = pair_plans(subjects, seed=0)
    first, second = (list(islice(plans, 14)) for _ in range(2))
    pairs, again = ({(plan.host.sentences[0], plan.donor.sentences[0]) for plan in of} for of in (first, second))
    # Of the 20, dog and puppy are one, boat and fish are in one video, and that shows a man already.
    assert len(pairs) == 14 and pairs == again
    assert not {("the dog", "the puppy"), ("a boat", "a fish"), ("a boat", "a man"), ("a fish", "a man")} & pairs
    assert ("a man", "a boat") in pairs
    of_fish = {plan.host.sentences[0]: plan.pasted_sentences for plan in first if plan.donor is subjects[4]}
    assert of_fish["the dog"] == ("a fish",) and of_fish["a man"] == ("a fish", "an animal")


def test_what_a_pasted_object_says_of_its_side_is_left_out_or_else_mirrored_with_it():
    said = ("a dog", "the dog on the left")
    plans = list(islice(pair_plans([subject("a", *said), subject("b", "a car")], seed=0), 2))
    plan = next(plan for plan in plans if plan.donor.video == "a")
    assert plan.pasted_sentences == ("a dog",)
    assert next(plan for plan in plans if plan.host.video == "a").host_sentences == said
    labels = np.zeros((4, 4), np.uint8)
    plan = Plan("n", PAIR, plan.host, plan.donor, ("a car on the left",), ("a Bright dog on the Left",), (0,))
    texts = {flip: [e["exp"] for e in expressions(plan, flip, labels).values()] for flip in (True, False)}
    assert texts[True] == ["a car on the left", "a Bright dog on the Right"]
    assert texts[False] == ["a car on the left", "a Bright dog on the Left"]


def test_twins_are_told_apart_by_their_sides_where_they_are_clearly_apart():
    plan = next(twin_plans([subject("a", "a dog running", "the dog on the left")], seed=0))
    apart = np.array([[2, 2, 0, 1], [0, 2, 0, 1]], np.uint8)
    assert sides_of(apart) == {2: "left", 1: "right"}
    assert list(expressions(plan, True, apart).values()) == [
        {"exp": "a dog on the right running", "obj_id": "1", "kind": "pair"},
        {"exp": "a dog on the left running", "obj_id": "2", "kind": "pair"},
    ]
    above = np.array([[2, 2, 0, 0], [0, 1, 1, 1]], np.uint8)
    assert sides_of(above) == {}
    assert [tuple(e.values()) for e in expressions(plan, False, above).values()] == [
        ("a dog running", "1", "twin"),
        ("a dog running", "2", "twin"),
    ]


# --- the tool --------------------------------------------------------------------------------------------------------


def test_clips_are_what_their_lists_say(root, tmp_path):
    videos = paste(root, tmp_path / "out", 6)
    meta = read_json(tmp_path / "out" / "train" / "meta.json")
    assert list(videos) == list(meta) == [f"pair_{number:06d}" for number in range(6)]
    sources = set()
    for name, video in videos.items():
        record = json.loads((tmp_path / "out" / "train" / "Records" / f"{name}.json").read_bytes())
        sources.add((record["host"]["video"], record["pasted"]["video"], record["pasted"]["obj_id"]))
        shown = {"1": [], "2": []}
        for frame in video["frames"]:
            labels = read_label_map(tmp_path / "out" / "train" / "Annotations" / name / f"{frame}.png")
            image = read_image(tmp_path / "out" / "train" / "JPEGImages" / name / f"{frame}.jpg").astype(int)
            for key, of in (("1", "host"), ("2", "pasted")):
                if not (labels == int(key)).any():
                    continue
                shown[key].append(frame)
                if record[of]["obj_id"] != "7":  # the pond is as grey as all around it
                    strongest = np.argmax(OBJECT[record[of]["video"]])
                    assert (image[labels == int(key)].argmax(axis=-1) == strongest).mean() > 0.9
        assert {key: of["frames"] for key, of in meta[name]["objects"].items()} == shown
        assert [of["category"] for of in meta[name]["objects"].values()] == [
            CATEGORY[record[of]["video"]] for of in ("host", "pasted")
        ]
        assert {e["kind"] for e in video["expressions"].values()} == {"pair"}
    assert len(sources) == 6 and all(host != pasted for host, pasted, _ in sources)


def test_twins_are_of_one_clip_and_as_many_as_asked_for(root, tmp_path):
    videos = paste(root, tmp_path / "out", 4, "--twins", 0.5)
    assert [name[:4] for name in videos] == ["pair", "pair", "twin", "twin"]
    for name in list(videos)[2:]:
        record = json.loads((tmp_path / "out" / "train" / "Records" / f"{name}.json").read_bytes())
        assert record["host"]["video"] == record["pasted"]["video"]
        for expression in videos[name]["expressions"].values():
            assert (expression["kind"] == "pair") == (" on the " in expression["exp"])


def test_training_reads_them(root, tmp_path):
    paste(root, tmp_path / "out", 3, "--max_frames", 5)
    entries = read_meta_expressions(tmp_path / "out" / "meta_expressions" / "train" / "meta_expressions.json")
    assert all(len(entry.frames) <= 5 for entry in entries)
    dataset = YouTubeVOSDataset(
        tmp_path / "out", 3, TrainTransform(video_range(96)), classes=("bear", "bird", "sedan"), seed=0
    )
    for index in range(len(dataset)):
        assert dataset.read(index, np.random.default_rng(index)).masks.any()
        assert dataset[0, index].problems == ()


def test_the_seed_decides_every_byte_whatever_the_workers(root, tmp_path):
    for name, flags in (("a", ()), ("b", ("--workers", 2)), ("c", ("--seed", 1))):
        paste(root, tmp_path / name, 3, "--twins", 0.4, *flags)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_again_repairs_what_is_missing_and_more_pairs_add_to_what_is_there(root, tmp_path):
    paste(root, tmp_path / "a", 2)
    paste(root, tmp_path / "b", 4)
    (tmp_path / "a" / "train" / "Records" / "pair_000001.json").unlink()
    kept = tmp_path / "a" / "train" / "JPEGImages" / "pair_000000" / "00000.jpg"
    before = kept.stat().st_mtime_ns
    paste(root, tmp_path / "a", 4)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert kept.stat().st_mtime_ns == before


def test_larger_hosts_are_brought_to_the_size(root, tmp_path):
    for video, said in SAID.items():
        write_video(root, video, said, size=(160, 200))
    paste(root, tmp_path / "out", 2, "--size", 80)
    for file in (tmp_path / "out" / "train").rglob("*.png"):
        assert read_label_map(file).shape == (80, 100)


def test_a_damaged_clip_costs_only_itself(root, tmp_path, capsys):
    (root / "train" / "JPEGImages" / "cars" / "00020.jpg").write_bytes(b"nothing")
    videos = paste(root, tmp_path / "out", 3)
    assert len(videos) == 3
    assert "00020.jpg: not an image" in capsys.readouterr().out
    texts = [e["exp"] for video in videos.values() for e in video["expressions"].values()]
    assert "a Car" not in texts and not list((tmp_path / "out" / "train" / "JPEGImages").glob(".*"))


@pytest.mark.parametrize("kind", ["JPEGImages", "Annotations"])
def test_a_frame_of_another_size_is_named(root, tmp_path, capsys, kind):
    file = next((root / "train" / kind / "cars").glob("00020.*"))
    Image.open(file).resize((40, 30), Image.Resampling.NEAREST).save(file)
    paste(root, tmp_path / "out", 3)
    said = capsys.readouterr().out
    assert "00020.jpg: of another size" in said if kind == "JPEGImages" else "cars: masks of" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--split", "valid"), "no such folder; --input must hold frames and masks of --split valid"),
        (("--twins", 2), "--twins must be a share from 0 to 1, it is 2.0"),
        (("--pairs", 0), "--pairs must be 1 or more"),
        (("--output_split", "../up"), "--output_split must be a folder's name"),
        (("--max_frames", 1), "--max_frames must be 4 or more"),
    ],
)
def test_bad_flags_are_one_line(root, tmp_path, program, flags, message):
    outcome = program(main, "--input", root, "--output", tmp_path / "out", "--pairs", 1, *flags)
    assert outcome.code == 2 and len(outcome.errors) == 1 and message in outcome.errors[0]
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_is_not_written_over(root, tmp_path, program):
    before = contents(root)
    outcome = program(main, "--input", root, "--output", root, "--pairs", 1)
    assert outcome.code == 2 and "not made by this tool" in outcome.errors[0]
    assert contents(root) == before
    assert program(main, "--input", root, "--output", tmp_path / "out", "--pairs", 1).code == 0
    outcome = program(main, "--input", root, "--output", tmp_path / "out", "--pairs", 1, "--seed", 1)
    assert outcome.code == 2 and "made with other settings" in outcome.errors[0]


def test_objects_that_nothing_tells_apart_are_an_error(root, tmp_path, program):
    file = root / "meta_expressions" / "train" / "meta_expressions.json"
    videos = read_json(file)
    for video in videos.values():
        for expression in video["expressions"].values():
            expression["exp"] = "a person"
    file.write_text(json.dumps({"videos": videos}))
    outcome = program(main, "--input", root, "--output", tmp_path / "out", "--pairs", 1)
    assert outcome.code == 2 and "sentences tell no two of its objects apart" in outcome.errors[0]
    for video in videos.values():
        for expression in video["expressions"].values():
            del expression["obj_id"]
    file.write_text(json.dumps({"videos": videos}))
    outcome = program(main, "--input", root, "--output", tmp_path / "other", "--pairs", 1)
    assert outcome.code == 2 and 'has an "obj_id"' in outcome.errors[0]
