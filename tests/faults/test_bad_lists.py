"""Lists in JSON and text with wrong values at any depth, cut off, or of the wrong kind: what reads them says so."""

import json

import numpy as np
import pytest

from datasets.a2d import read_sentences
from datasets.expressions import VideoEntry, read_meta_expressions
from datasets.jhmdb import read_samples
from datasets.key_frames import KeyFrameFiles
from datasets.refexp import read_index
from datasets.ytvos import YouTubeVOSDataset
from tests.faults.refusals import damaged, put, rewritten, tally
from tools.data.convert_davis_to_ytvos import ANNOTATIONS
from tools.data.convert_davis_to_ytvos import convert as convert_davis
from tools.data.convert_refexp_to_coco import Instances
from tools.data.merge_sets import link, merge
from tools.scoring.ytvos_truth import read_truth
from util.mask_io import write_label_map
from util.referring_metrics import read_ground_truth, referring_scores

EXPRESSIONS = {
    "videos": {
        "beach": {
            "frames": ["00000", "00005"],
            "expressions": {
                "0": {"exp": "a red ball", "obj_id": "1", "told": ["00000"], "kind": "colour"},
                "1": {"exp": "ein grüner Würfel 🟩", "obj_id": 2},
            },
        }
    }
}
META = {"videos": {"beach": {"objects": {"1": {"category": "ball", "frames": ["00000"]}, "2": {"category": "box"}}}}}
RLE = {"size": [4, 5], "counts": [0, 6, 14]}
COCO = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "height": 4, "width": 5, "caption": "a dog"},
        {"id": 2, "file_name": "a.jpg", "height": 4, "width": 5, "caption": "the cat"},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 18, "area": 6.0, "iscrowd": 0, "segmentation": RLE},
        {"id": 2, "image_id": 2, "category_id": 17, "segmentation": [[0, 0, 3, 0, 3, 3, 0, 3]]},
    ],
    "categories": [],
}
A2D = [["a red dog", "vid", 3, 0], ["a cat", "vid", 12, 1]]
JHMDB = [["vid", "./j/images/run/vid/00003.png", "./j/mask/run/vid/puppet_mask.mat", 40, "a man in black"]]
KEYS = {"beach": {"0": "00005", "1": 0}}
PREDICTIONS = [{"image_id": 1, "score": 0.5, "segmentation": RLE}, {"image_id": 2, "score": 1, "segmentation": RLE}]
BEACH = VideoEntry("beach", ("00000", "00005"), ())


def read_keys(path):
    return [KeyFrameFiles(path).choice(BEACH, expression) for expression in ("0", "1")]


def score(path):
    return referring_scores(read_ground_truth(path.with_name("truth.json")), json.loads(path.read_bytes()), str(path))


LISTS = {
    "meta_expressions.json": (EXPRESSIONS, read_meta_expressions),
    "key_frames.json": (KEYS, read_keys),
    "a2d.json": (A2D, read_sentences),
    "jhmdb.json": (JHMDB, read_samples),
    "refcoco.json": (COCO, read_index),
    "truth.json": (COCO, read_ground_truth),
    "instances.json": (COCO, Instances),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_strange_value_anywhere(tmp_path, name):
    content, read = LISTS[name]
    path = put(tmp_path / name, json.dumps(content).encode())
    assert read(path)
    with tally("bad lists: one value strange or missing") as tries:

        def attempt(changed):
            path.write_text(json.dumps(changed))
            tries.settled(lambda: read(path), str(path))

        tries.each(rewritten(content), attempt)


@pytest.mark.parametrize("name", LISTS)
def test_damaged_bytes(tmp_path, name):
    content, read = LISTS[name]
    path = tmp_path / name
    with tally("bad lists: cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            tries.settled(lambda: read(path), str(path))

        tries.each(damaged(json.dumps(content, ensure_ascii=False).encode()), attempt)


WRONG = {
    "empty": b"",
    "white space": b" \n",
    "null": b"null",
    "a number": b"7",
    "no object": b'"videos"',
    "cut off": b'{"videos": {"a',
    "another file": b"\x89PNG\r\n\x1a\n\0\0",
    "16-bit text of one byte": b"\xff\xfe{",
    "latin-1": '{"videos": "é"}'.encode("latin-1"),
    "endless nesting": b"[" * 100_000,
    "endless number": b"9" * 5000,
}


@pytest.mark.parametrize("name", LISTS)
def test_another_file_in_its_place(tmp_path, name):
    path, read = tmp_path / name, LISTS[name][1]
    with tally("bad lists: another file in its place, or none") as tries:
        tries.refused(lambda: read(path), str(path))
        for data in WRONG.values():
            path.write_bytes(data)
            tries.refused(lambda: read(path), str(path))


def test_predictions(tmp_path):
    put(tmp_path / "truth.json", json.dumps(COCO).encode())
    path = put(tmp_path / "predictions.json", json.dumps(PREDICTIONS).encode())
    right = score(path)
    assert right.images == 2 and right.without_prediction == 0 and right.mean_iou > 0
    with tally("bad predictions: one value strange or missing") as tries:

        def attempt(changed):
            path.write_text(json.dumps(changed))
            tries.settled(lambda: score(path), str(path), right=lambda scores: 0 <= scores.mean_iou <= right.mean_iou)

        tries.each(rewritten(PREDICTIONS), attempt)


@pytest.fixture
def train(tmp_path):
    put(tmp_path / "meta_expressions" / "train" / "meta_expressions.json", json.dumps(EXPRESSIONS).encode())
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    for frame in ("00000", "00005"):
        put(tmp_path / "train" / "JPEGImages" / "beach" / f"{frame}.jpg", b"")
        write_label_map(tmp_path / "train" / "Annotations" / "beach" / f"{frame}.png", labels)
    put(tmp_path / "train" / "meta.json", json.dumps(META).encode())
    return tmp_path


def test_meta(train):
    path = train / "train" / "meta.json"
    with tally("bad lists: meta.json with a strange value") as tries:
        tries.settled(lambda: YouTubeVOSDataset(train, 1, None, classes=("ball", "box")))

        def attempt(changed):
            path.write_text(json.dumps(changed))
            tries.settled(lambda: YouTubeVOSDataset(train, 1, None, classes=("ball", "box")), str(path))

        tries.each(rewritten(META), attempt)


def test_programs_that_read_the_lists_again(train, tmp_path_factory):
    """The scorer and the merger read fields that the list's own reader passes over."""
    path = train / "meta_expressions" / "train" / "meta_expressions.json"
    with tally("bad lists: strange values under the scorer and the merger") as tries:

        def attempt(changed):
            path.write_text(json.dumps(changed))
            tries.settled(lambda: read_truth(train, "train"), str(path))
            target = tmp_path_factory.mktemp("merged") / "all"
            tries.settled(lambda: merge([train], target, "train", link))
            if target.exists():
                tries.settled(lambda: read_meta_expressions(target / path.relative_to(train)))

        tries.each(rewritten(EXPRESSIONS), attempt)


@pytest.mark.parametrize(
    "text",
    [
        "dog " * 100_000,
        "x" * 100_000,
        "犬 " * 1000,
        "👨‍👩‍👧‍👦" * 500,
        "e\u0301" * 1000,
        "\u202eabc",
        "a\0b",
        "tab\there\nnew",
    ],
    ids=lambda text: f"{len(text)} of {text[:3]!r}",
)
def test_long_and_foreign_sentences_reach_the_tokenizer_whole(tmp_path, text_encoder, text):
    """They are read as they are; the tokenizer takes them, or says how long they are."""
    from models.text_encoder import CaptionTokenizer

    content = {"videos": {"a": {"frames": ["0"], "expressions": {"0": {"exp": text}}}}}
    path = put(tmp_path / "meta_expressions.json", json.dumps(content).encode())
    with tally("very long and foreign sentences") as tries:
        tries.settled(lambda: read_meta_expressions(path), right=lambda videos: videos[0].expressions[0].text == text)
        tries.settled(lambda: CaptionTokenizer(str(text_encoder)).ids(text), "shorten it", right=len)


HALF = "dog \ud800"


def test_half_a_character(tmp_path, text_encoder):
    from models.text_encoder import CaptionTokenizer

    content = {"videos": {"a": {"frames": ["0"], "expressions": {"0": {"exp": HALF}}}}}
    path = put(tmp_path / "meta_expressions.json", json.dumps(content).encode())
    with tally("very long and foreign sentences") as tries:
        tries.refused(lambda: read_meta_expressions(path), str(path), "half a character")
        tries.refused(lambda: CaptionTokenizer(str(text_encoder)).ids(HALF), "half a character")


# ---- Ref-DAVIS17's texts


@pytest.fixture
def davis(tmp_path):
    base = tmp_path / "ref-davis" / "DAVIS"
    for split, video in (("train", "bear"), ("val", "swan")):
        put(base / "ImageSets" / "2017" / f"{split}.txt", f"{video}\n".encode())
        put(base / "JPEGImages" / "480p" / video / "00000.jpg", b"a frame")
        write_label_map(base / "Annotations_unsupervised" / "480p" / video / "00000.png", np.eye(4, dtype=np.uint8))
    put(base / "davis_semantics.json", json.dumps({"bear": {"1": "bear"}, "swan": {"1": "swan"}}).encode())
    for name, _ in ANNOTATIONS:
        put(base.parent / "davis_text_annotations" / name, b'bear 1 "a brown bear"\r\nswan 1 "the black swan"\r\n')
    return base.parent


DAVIS_FILES = (
    "DAVIS/davis_semantics.json",
    "DAVIS/ImageSets/2017/val.txt",
    "davis_text_annotations/Davis17_annot1.txt",
    "davis_text_annotations/Davis17_annot2.txt",
)


@pytest.mark.parametrize("name", DAVIS_FILES)
def test_davis_texts(davis, tmp_path, name):
    path, whole = davis / name, (davis / name).read_bytes()
    with tally("bad lists: Ref-DAVIS17's texts cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            tries.settled(lambda: convert_davis(davis, tmp_path / "out", mode="copy"))
            list_file = tmp_path / "out" / "meta_expressions" / "valid" / "meta_expressions.json"
            if list_file.exists():  # what was written can be read again
                tries.settled(lambda: read_meta_expressions(list_file), right=bool)
                list_file.unlink()

        tries.each(damaged(whole), attempt)


def test_davis_semantics_with_strange_values(davis, tmp_path):
    path = davis / "DAVIS" / "davis_semantics.json"
    with tally("bad lists: Ref-DAVIS17's semantics with a strange value") as tries:

        def attempt(changed):
            path.write_text(json.dumps(changed))
            tries.settled(lambda: convert_davis(davis, tmp_path / "out", mode="copy"))

        tries.each(rewritten(json.loads(path.read_bytes())), attempt)
