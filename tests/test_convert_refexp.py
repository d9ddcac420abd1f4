"""The REFER converter on files in REFER's format, and on pickles that want more than to be read."""

import json
import os
import pickle
from pathlib import Path

import pytest

from datasets.refexp import read_index
from tools.data.convert_refexp_to_coco import convert, load_plain_pickle, main
from util.errors import InputError

POLYGON = [[10.0, 10.0, 30.0, 10.0, 30.0, 25.5]]


def references():
    """Two sentences in train, one in val, one in testA."""

    def reference(number, split, *sentences):
        return {
            "ref_id": number,
            "ann_id": 100 + number,
            "image_id": 5,
            "category_id": 18,
            "split": split,
            "file_name": f"COCO_train2014_000000000005_{number}.jpg",
            "sent_ids": list(range(len(sentences))),
            "sentences": [
                {"sent_id": i, "raw": raw, "sent": raw.lower().strip(" ."), "tokens": raw.lower().split()}
                for i, raw in enumerate(sentences)
            ],
        }

    return [
        reference(0, "train", "The Dog.", "dog on left"),
        reference(1, "val", "caf\xe9 dog"),
        reference(2, "testA", "x"),
    ]


def instances():
    return {
        "info": {},
        "images": [{"id": 5, "file_name": "COCO_train2014_000000000005.jpg", "height": 40, "width": 50, "license": 1}],
        "annotations": [
            {"id": 100 + number, "image_id": 5, "category_id": 18, "segmentation": POLYGON, "area": 155.0,
             "bbox": [10.0, 10.0, 20.0, 15.5], "iscrowd": 0}
            for number in range(3)
        ],
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}],
    }  # fmt: skip


@pytest.fixture
def refer(tmp_path):
    return write_refer(tmp_path / "refer")


def write_refer(root):
    """REFER's files of two of the three sets."""
    for name, by in (("refcoco", "unc"), ("refcocog", "umd")):
        write(root, name, f"refs({by}).p", pickle.dumps(references(), protocol=2))
        write(root, name, "instances.json", json.dumps(instances()).encode())
    return root


def write(root, name, file, content):
    path = root / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_one_entry_a_sentence(refer, tmp_path, capsys):
    counts = convert(refer, tmp_path / "coco")
    assert counts == {(name, split): n for name in ("refcoco", "refcocog") for split, n in (("train", 2), ("val", 1))}
    assert "refcoco+" in capsys.readouterr().out
    content = json.loads((tmp_path / "coco" / "refcoco" / "instances_refcoco_train.json").read_text())
    assert content["images"][1] == {
        "id": 2,
        "original_id": 5,
        "file_name": "COCO_train2014_000000000005.jpg",
        "height": 40,
        "width": 50,
        "dataset_name": "refcoco",
        "caption": "dog on left",
    }
    assert content["images"][0]["caption"] == "The Dog."
    annotation = content["annotations"][1]
    assert (annotation["id"], annotation["image_id"], annotation["original_id"]) == (2, 2, 100)
    assert annotation["segmentation"] == POLYGON
    assert content["categories"] == instances()["categories"]


def test_the_loader_reads_what_it_writes(refer):
    main(["--data_root", str(refer)])
    index = read_index(refer / "refcocog" / "instances_refcocog_val.json")
    assert (len(index), index[0].caption, index[0].category) == (1, "caf\xe9 dog", 18)
    assert index[0].mask().any()


def test_python_2_text(refer, tmp_path):
    """Python 2 wrote byte strings: opcode U, with bytes that are no UTF-8."""
    data = pickle.dumps(references(), protocol=2)
    accented = "caf\xe9 dog".encode()
    unicode_form = b"X" + len(accented).to_bytes(4, "little") + accented
    assert unicode_form in data
    old = data.replace(unicode_form, b"U\x08caf\xe9 dog")
    write(refer, "refcoco", "refs(unc).p", old)
    convert(refer, tmp_path / "coco")
    content = json.loads((tmp_path / "coco" / "refcoco" / "instances_refcoco_val.json").read_text())
    assert content["images"][0]["caption"] == "caf\xe9 dog"


class Hostile:
    """Makes a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_does_nothing(refer, tmp_path, protocol):
    victim = tmp_path / "victim"
    path = write(refer, "refcoco", "refs(unc).p", pickle.dumps([*references(), Hostile(victim)], protocol))
    with pytest.raises(InputError, match=r"refs\(unc\)\.p: refused"):
        convert(refer, tmp_path / "coco")
    assert not victim.exists()
    assert not (tmp_path / "coco").exists()
    with path.open("rb") as file:  # it would have been
        pickle.load(file)
    assert victim.exists()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(os.system),
        pickle.dumps({1, 2}.__class__),
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02P0\n.",
        b"\x82\x01.",
        b"",
        pickle.dumps([1, 2])[:-2],
        b"not a pickle",
        b"h\x05.",
    ],
)
def test_anything_but_plain_data_is_refused(tmp_path, data):
    path = tmp_path / "refs.p"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"refs\.p"):
        load_plain_pickle(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(tmp_path, protocol):
    plain = [{"a": (1, 2.5, None, True), "b": ["x", "é", 2**70, -1]}]
    (tmp_path / "refs.p").write_bytes(pickle.dumps(plain, protocol))
    assert load_plain_pickle(tmp_path / "refs.p") == plain


def spoilt(key, value):
    changed = references()
    changed[1][key] = value
    return changed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "list of references"),
        (spoilt("ann_id", 9), "reference 1: image 5 with annotation 9"),
        (spoilt("image_id", 9), "reference 1: image 9"),
        (spoilt("sentences", [{"raw": 5}]), "reference 1"),
        (spoilt("sentences", [{}]), "reference 1: no 'raw'"),
        ([*references(), "text"], "reference 3"),
    ],
)
def test_malformed_references_are_named_and_nothing_is_written(refer, tmp_path, content, message):
    write(refer, "refcoco", "refs(unc).p", pickle.dumps(content, 2))
    with pytest.raises(InputError, match=message):
        convert(refer, tmp_path / "coco")
    assert not (tmp_path / "coco").exists()


def test_missing_or_malformed_instances(refer, tmp_path):
    write(refer, "refcoco", "instances.json", b'{"images": 5}')
    with pytest.raises(InputError, match=r"instances\.json"):
        convert(refer, tmp_path / "coco")
    (refer / "refcoco" / "instances.json").unlink()
    with pytest.raises(InputError, match=r"instances\.json"):
        convert(refer, tmp_path / "coco")
    with pytest.raises(InputError, match="--data_root"):
        convert(tmp_path, tmp_path / "coco")


def test_an_empty_sentence_is_reported(refer, tmp_path, capsys):
    empty = spoilt("sentences", [{"raw": " ", "sent": "", "tokens": []}, {"raw": "", "sent": "dog", "tokens": ["dog"]}])
    write(refer, "refcoco", "refs(unc).p", pickle.dumps(empty, 2))
    assert convert(refer, tmp_path / "coco")["refcoco", "val"] == 1
    assert "reference 1: an empty sentence" in capsys.readouterr().out
