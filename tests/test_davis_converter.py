"""The converter against a tiny Ref-DAVIS17 in the real format, and against the real sample where it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.expressions import read_meta_expressions
from tools.data.convert_davis_to_ytvos import ANNOTATIONS, convert, main
from util.errors import InputError
from util.mask_io import read_label_map, write_label_map

REAL = Path(__file__).parents[2] / "shared" / "data" / "ref-davis"
TEXTS = "davis_text_annotations"
# Three objects whose ids sort otherwise as numbers, and the three names that the texts misspell.
SEMANTICS = {
    "salsa": {"1": "person", "10": "person", "2": "person"},
    "classic-car": {"1": "car"},
    "dogs-scale": {"1": "dog"},
    "motorbike": {"1": "motorcycle"},
}
AS_WRITTEN = {"classic-car": "clasic-car", "dogs-scale": "dog-scale", "motorbike": "motor-bike"}
FRAMES = ("00000", "00001", "00002")


def sentence(video, key, annotation):
    accent = "café" if annotation >= 2 else "plain"
    return f"the {accent} {video}  no {key}, Said {annotation}"


@pytest.fixture
def davis(tmp_path):
    return write_davis(tmp_path / "ref-davis")


def write_davis(root):
    """Ref-DAVIS17 as downloaded: two videos of each split, and what its lists hold beside them."""
    base = root / "DAVIS"
    (base / "ImageSets" / "2017").mkdir(parents=True)
    (base / "ImageSets" / "2017" / "val.txt").write_text("salsa\nclassic-car\n")
    (base / "ImageSets" / "2017" / "train.txt").write_text("dogs-scale\nmotorbike\nabsent\n")
    (base / "davis_semantics.json").write_text(json.dumps(SEMANTICS | {"absent": {"1": "ghost"}}))
    for video, objects in SEMANTICS.items():
        for i, frame in enumerate(FRAMES):
            write_frame(base, video, frame, [int(key) for key in objects][: len(objects) - (i == 2)])
    (root / TEXTS).mkdir()
    for annotation, (name, encoding) in enumerate(ANNOTATIONS):
        lines = [
            f'{AS_WRITTEN.get(video, video)} {key} "{sentence(video, key, annotation)}"'
            for video, objects in SEMANTICS.items()
            for key in objects
        ]
        lines.append('of-no-list 1 "somebody"')
        (root / TEXTS / name).write_bytes("\r\n".join(lines).encode(encoding.removesuffix("-sig")))
    return root


def write_frame(base, video, frame, ids):
    labels = np.zeros((12, 16), np.uint8)
    labels[0, :] = 255
    labels[1, :] = 77  # an object that nobody described
    for row, value in enumerate(ids, start=2):
        labels[row, :5] = value
    write_label_map(base / "Annotations_unsupervised" / "480p" / video / f"{frame}.png", labels)
    image = base / "JPEGImages" / "480p" / video / f"{frame}.jpg"
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 16, 3), len(video), np.uint8)).save(image)


def snapshot(folder):
    return {file: (file.read_bytes(), file.lstat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


def edit(file, old, new, encoding="utf-8"):
    text = file.read_bytes().decode(encoding)
    assert old in text
    file.write_bytes(text.replace(old, new, 1).encode(encoding))


@pytest.mark.parametrize("mode", ["link", "hardlink", "copy"])
def test_layout_in_every_mode_with_the_source_untouched(davis, tmp_path, mode, capsys):
    before = snapshot(davis)
    out = tmp_path / "out"
    assert convert(davis, out, mode) == {"train": 2, "valid": 2}
    assert snapshot(davis) == before
    assert "train: 1 of 3 listed videos have no frames" in capsys.readouterr().out
    frame = out / "valid" / "JPEGImages" / "salsa" / "00001.jpg"
    original = davis / "DAVIS" / "JPEGImages" / "480p" / "salsa" / "00001.jpg"
    assert frame.read_bytes() == original.read_bytes()
    assert frame.is_symlink() == (mode == "link")
    assert frame.samefile(original) == (mode != "copy")
    assert read_label_map(out / "train" / "Annotations" / "motorbike" / "00000.png")[2, 0] == 1


def test_expression_ids_count_objects_as_strings(davis, tmp_path):
    convert(davis, tmp_path / "out")
    videos = read_meta_expressions(tmp_path / "out" / "meta_expressions" / "valid" / "meta_expressions.json")
    salsa = videos[0]
    assert (salsa.name, salsa.frames) == ("salsa", FRAMES)
    assert [(e.id, e.obj_id, e.text) for e in salsa.expressions] == [
        (str(4 * index + annotation), key, sentence("salsa", key, annotation))
        for index, key in enumerate(["1", "10", "2"])
        for annotation in range(4)
    ]


def test_misspelt_names_and_objects_of_meta_json(davis, tmp_path):
    convert(davis, tmp_path / "out")
    train = read_meta_expressions(tmp_path / "out" / "meta_expressions" / "train" / "meta_expressions.json")
    assert [video.name for video in train] == ["dogs-scale", "motorbike"]
    meta = json.loads((tmp_path / "out" / "valid" / "meta.json").read_text())["videos"]
    assert meta["salsa"]["objects"] == {
        "1": {"category": "person", "frames": list(FRAMES)},
        "10": {"category": "person", "frames": list(FRAMES)},
        "2": {"category": "person", "frames": list(FRAMES[:2])},
    }


def test_into_the_same_folder_with_links_that_survive_a_move(davis, tmp_path):
    convert(davis, davis)
    moved = davis.rename(tmp_path / "elsewhere")
    assert (moved / "valid" / "JPEGImages" / "salsa" / "00000.jpg").exists()


@pytest.mark.parametrize("mode", ["link", "hardlink", "copy"])
def test_again_changes_nothing_and_repairs_what_was_lost(davis, tmp_path, mode):
    out = tmp_path / "out"
    convert(davis, out, mode)
    whole = {file: content for file, (content, _) in snapshot(out).items()}
    frames = sorted((out / "valid" / "JPEGImages" / "salsa").iterdir())
    frames[0].unlink()
    frames[1].unlink()
    frames[1].write_bytes(b"cut off")
    frames[2].unlink()
    frames[2].symlink_to(tmp_path / "gone")
    (out / "meta_expressions" / "valid" / "meta_expressions.json").write_text('{"videos": {')
    before = snapshot(davis)
    convert(davis, out, mode)
    convert(davis, out, mode)
    assert {file: content for file, (content, _) in snapshot(out).items()} == whole
    assert snapshot(davis) == before


def test_from_links_to_copies(davis, tmp_path):
    convert(davis, tmp_path / "out", "link")
    before = snapshot(davis)
    convert(davis, tmp_path / "out", "copy")
    assert not any(file.is_symlink() for file in (tmp_path / "out").rglob("*"))
    assert snapshot(davis) == before


def test_bad_input_leaves_an_earlier_result_alone(davis, tmp_path):
    convert(davis, tmp_path / "out")
    before = snapshot(tmp_path / "out")
    (davis / "DAVIS" / "Annotations_unsupervised" / "480p" / "salsa" / "00001.png").unlink()
    with pytest.raises(InputError, match="frame 00001 has no mask"):
        convert(davis, tmp_path / "out", "copy")
    assert {file for file, _ in before.items() if file.name.endswith("json")} <= set(snapshot(tmp_path / "out"))


def test_refuses_another_data_set_and_a_link_as_output(davis, tmp_path):
    out = tmp_path / "ytvos"
    other = out / "meta_expressions" / "valid" / "meta_expressions.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"videos": {"0062f687f1": {}}}')
    with pytest.raises(InputError, match="0062f687f1"):
        convert(davis, out)
    linked = tmp_path / "linked"
    (linked / "valid").mkdir(parents=True)
    (linked / "valid" / "JPEGImages").symlink_to(davis / "DAVIS" / "JPEGImages" / "480p")
    before = snapshot(davis)
    with pytest.raises(InputError, match="a link"):
        convert(davis, linked)
    assert snapshot(davis) == before


def test_a_word_in_an_annotators_hand(davis, tmp_path, capsys):
    first, second = davis / TEXTS / ANNOTATIONS[0][0], davis / TEXTS / ANNOTATIONS[2][0]
    edit(first, 'classic-car  no 1, Said 0"', 'car "as it is" ')  # no closing quote, quotes within
    edit(second, "caf\xe9 salsa  no 2", "line\x85end", "latin-1")  # a byte that str.splitlines breaks at
    first.write_bytes(first.read_bytes() + b'\r\nsalsa 1 "said anew"\r\n\r\n')
    convert(davis, tmp_path / "out")
    salsa, car = read_meta_expressions(tmp_path / "out" / "meta_expressions" / "valid" / "meta_expressions.json")
    assert car.expressions[0].text == 'the plain car "as it is'
    assert salsa.expressions[10].text == "the line\x85end, Said 2"
    assert salsa.expressions[0].text == "said anew"
    assert "line 8: a second expression" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        (f"{TEXTS}/Davis17_annot1.txt", "salsa 10", "salsa ten", ["Davis17_annot1.txt, line 2", "salsa ten"]),
        (f"{TEXTS}/Davis17_annot1.txt", '"the plain salsa  no 1, Said 0"', '""', ["line 1"]),
        (f"{TEXTS}/Davis17_annot2.txt", "salsa 2 ", "salsa 3 ", ["Davis17_annot2.txt, line 3", "object 3"]),
        (f"{TEXTS}/Davis17_annot1_full_video.txt", "salsa 10 ", "other 10 ", ["annot1_full_video.txt", "object 10"]),
        ("DAVIS/davis_semantics.json", '"salsa"', '"s"', ["davis_semantics.json", "salsa"]),
        ("DAVIS/davis_semantics.json", '"car"', "5", ["davis_semantics.json", "classic-car"]),
        ("DAVIS/davis_semantics.json", "{", "", ["davis_semantics.json", "JSON"]),
        ("DAVIS/ImageSets/2017/val.txt", "salsa", "../salsa", ["val.txt", "../salsa"]),
        (f"{TEXTS}/Davis17_annot1.txt", "plain", "caf\xe9", ["Davis17_annot1.txt", "utf-8"]),
    ],
)
def test_mismatches_name_file_and_line(davis, tmp_path, file, old, new, named):
    edit(davis / file, old, new, "latin-1")
    with pytest.raises(InputError) as caught:
        convert(davis, tmp_path / "out")
    for part in named:
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_missing_parts(davis, tmp_path):
    with pytest.raises(InputError, match="absent"):
        convert(davis, tmp_path / "out", strict=True)
    with pytest.raises(InputError, match="DAVIS"):
        convert(tmp_path, tmp_path / "out")
    (davis / "DAVIS" / "JPEGImages" / "480p").rename(tmp_path / "away")
    (davis / "DAVIS" / "JPEGImages" / "480p").mkdir()
    with pytest.raises(InputError, match="no frame of any"):
        convert(davis, tmp_path / "out")


@pytest.mark.skipif(not REAL.exists(), reason=f"the real sample is not at {REAL}")
def test_the_real_sample(tmp_path):
    main(["--data_root", str(REAL), "--output", str(tmp_path)])
    videos = read_meta_expressions(tmp_path / "meta_expressions" / "valid" / "meta_expressions.json")
    assert {video.name: len(video.frames) for video in videos} == {
        "blackswan": 50, "camel": 90, "car-shadow": 40, "dog": 60, "goat": 90, "libby": 49,
    }  # fmt: skip
    assert [expression.text for expression in videos[0].expressions] == [
        "a black swan",
        "a black feathered swan",
        "a swan",
        "a black swan",
    ]
    meta = json.loads((tmp_path / "valid" / "meta.json").read_text())["videos"]
    assert meta["camel"]["objects"]["1"]["category"] == "camel"
    assert len(meta["camel"]["objects"]["1"]["frames"]) == 90
    assert not (tmp_path / "train").exists()
