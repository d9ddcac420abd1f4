"""The data doctor: tiny data sets in their real formats, whole and broken in one way each."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle_ops

from tools.data.check import check, main
from tools.data.convert_davis_to_ytvos import ANNOTATIONS, convert
from tools.data.doctor import a2d, davis, frames, jhmdb, refcoco, visit, ytvos
from tools.data.doctor.findings import MOST_SHOWN, Kind, Report
from util.errors import InputError
from util.mask_io import write_label_map

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
WIDTH, HEIGHT = 32, 24
NAMES = ["00000", "00005", "00010"]


def wrong(report):
    """The kinds that need mending, with how often each was met."""
    return {finding.kind: finding.count for finding in report.findings(wrong=True)}


def known(report):
    return {finding.kind: finding.count for finding in report.findings(wrong=False)}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def write_frame(path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def write_labels(path, objects=(1,), size=(WIDTH, HEIGHT)):
    labels = np.zeros((size[1], size[0]), dtype=np.uint8)
    for row, key in enumerate(objects):
        labels[2 + row, :5] = key
    write_label_map(path, labels)


def rle(width=WIDTH, height=HEIGHT):
    mask = np.zeros((height, width), dtype=np.uint8, order="F")
    mask[2:5, 3:9] = 1
    encoded = rle_ops.encode(mask)
    return encoded | {"counts": encoded["counts"].decode()}


def truncate(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def found(name, root, deep):
    return wrong(check(name, root, deep=deep))


# ---------------------------------------------------------------- Ref-YouTube-VOS


@pytest.fixture
def youtube(tmp_path):
    """One training video of three frames with objects 1 and 2."""
    write_json(
        tmp_path / "meta_expressions/train/meta_expressions.json",
        {"videos": {"bear": {"expressions": {"0": {"exp": "a bear", "obj_id": "1"}}, "frames": NAMES}}},
    )
    objects = {key: {"category": "bear", "frames": NAMES} for key in ("1", "2")}
    write_json(tmp_path / "train/meta.json", {"videos": {"bear": {"objects": objects}}})
    for name in NAMES:
        write_frame(tmp_path / f"train/JPEGImages/bear/{name}.jpg")
        write_labels(tmp_path / f"train/Annotations/bear/{name}.png", (1, 2))
    return tmp_path


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_youtube_set_is_well(youtube, deep):
    report = check("ytvos", youtube, deep=deep)
    assert report.ok
    assert not known(report)
    assert "train: 1 videos (published: 3471), 1 expressions, 3 frames" in report.facts


FRAME, MASK = "train/JPEGImages/bear/00005.jpg", "train/Annotations/bear/00005.png"
FIRST_MASK = "train/Annotations/bear/00000.png"
META, LIST = "train/meta.json", "meta_expressions/train/meta_expressions.json"


def objects_of(meta):
    return meta["videos"]["bear"]["objects"]


YOUTUBE_FAULTS = {
    "missing frame": (lambda root: (root / FRAME).unlink(), frames.NO_FRAME, True),
    "empty frame": (lambda root: (root / FRAME).write_bytes(b""), frames.EMPTY_FILE, True),
    "truncated frame": (lambda root: truncate(root / FRAME), frames.BROKEN, False),
    "frame of another size": (lambda root: write_frame(root / FRAME, (48, 24)), frames.FRAME_SIZE, False),
    "missing mask": (lambda root: (root / MASK).unlink(), frames.NO_MASK, True),
    "mask of another size": (lambda root: write_labels(root / FIRST_MASK, (1, 2), (30, 24)), frames.MASK_SIZE, True),
    "unknown object": (lambda root: write_labels(root / MASK, (1, 2, 3)), frames.UNKNOWN_OBJECT, False),
    "object in no mask": (lambda root: edit_json(root / META, lambda m: objects_of(m).update({"9": {"category": "x"}})),
                          frames.NEVER_SEEN, False),
    "object without category": (lambda root: edit_json(root / META, lambda m: objects_of(m)["2"].pop("category")),
                                ytvos.NO_CATEGORY, True),
    "expression of no object": (lambda root: edit_json(root / META, lambda m: objects_of(m).pop("1")),
                                ytvos.NO_OBJECT, True),
    "malformed object": (lambda root: edit_json(root / META, lambda m: objects_of(m).update({"two": []})),
                         ytvos.BAD_META, True),
    "video not in meta": (lambda root: edit_json(root / META, lambda m: m["videos"].clear()), ytvos.NOT_IN_META, True),
    "no meta": (lambda root: (root / META).unlink(), visit.UNREADABLE, True),
    "no list": (lambda root: (root / LIST).unlink(), visit.UNREADABLE, True),
    "no folder": (lambda root: (root / "train/JPEGImages/bear").rename(root / "elsewhere"), frames.NO_VIDEO, True),
    "no frames": (lambda root: (root / "train/JPEGImages").rename(root / "elsewhere"), ytvos.NO_IMAGES, True),
    "no masks": (lambda root: (root / "train/Annotations").rename(root / "elsewhere"), ytvos.NO_MASKS, True),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "quick"), YOUTUBE_FAULTS.values(), ids=YOUTUBE_FAULTS.keys())
def test_each_fault_of_a_youtube_set_is_found(youtube, spoil, kind, quick):
    """`quick`: whether names, sizes and headers alone tell."""
    spoil(youtube)
    assert found("ytvos", youtube, deep=True)[kind] == 1
    assert (kind in found("ytvos", youtube, deep=False)) == quick


def test_what_no_list_names_is_told_but_not_wrong(youtube):
    write_frame(youtube / "train/JPEGImages/bear/00099.jpg")
    write_frame(youtube / "train/JPEGImages/wolf/00000.jpg")
    write_labels(youtube / MASK, (1,))
    report = check("ytvos", youtube, deep=True)
    assert report.ok
    assert known(report) == {frames.UNLISTED: 1, ytvos.UNLISTED_VIDEO: 1, frames.NOT_SEEN: 1}


def test_a_link_that_leads_nowhere_is_a_missing_frame(youtube):
    (youtube / FRAME).unlink()
    (youtube / FRAME).symlink_to(youtube / "gone.jpg")
    assert found("ytvos", youtube, deep=False) == {frames.NO_FRAME: 1}


def test_validation_is_what_the_test_list_does_not_hold(tmp_path):
    def videos(names):
        return {"videos": {name: {"expressions": {"0": {"exp": "it"}}, "frames": ["00000"]} for name in names}}

    write_json(tmp_path / "meta_expressions/valid/meta_expressions.json", videos(f"v{i}" for i in range(507)))
    (tmp_path / "valid/JPEGImages").mkdir(parents=True)
    assert ytvos.NO_TEST_LIST in found("ytvos", tmp_path, deep=False)
    write_json(tmp_path / "meta_expressions/test/meta_expressions.json", videos(f"v{i}" for i in range(202, 507)))
    for i in range(202):
        write_frame(tmp_path / f"valid/JPEGImages/v{i}/00000.jpg", (2, 2))
    report = check("ytvos", tmp_path, ["valid"])
    assert report.ok
    assert "202 = 507 − 305" in report.text()


# ---------------------------------------------------------------- Ref-DAVIS17


@pytest.fixture
def downloaded(tmp_path):
    """One validation video as downloaded, with an object that nobody described and void in its masks."""
    base = tmp_path / "DAVIS"
    for name in ("00000", "00001"):
        write_frame(base / f"JPEGImages/480p/dog/{name}.jpg")
        write_labels(base / f"Annotations_unsupervised/480p/dog/{name}.png", (1, 2, 255))
    write_json(base / "davis_semantics.json", {"dog": {"1": "dog"}})
    (base / "ImageSets/2017").mkdir(parents=True)
    (base / "ImageSets/2017/train.txt").write_text("")
    (base / "ImageSets/2017/val.txt").write_text("dog\n")
    (tmp_path / "davis_text_annotations").mkdir()
    for name, _ in ANNOTATIONS:
        (tmp_path / "davis_text_annotations" / name).write_text('dog 1 "a dog"\n')
    return tmp_path


def test_a_downloaded_set_names_the_converter_and_is_well_after_it(downloaded):
    report = check("davis", downloaded, deep=True)
    assert [finding.kind.what.split(",")[0] for finding in report.findings(wrong=True)] == ["converted layout"]
    assert "tools/data/convert_davis_to_ytvos.py" in report.text()
    convert(downloaded, downloaded)
    report = check("davis", downloaded, deep=True)
    assert report.ok, report.text()
    assert "found: as downloaded and as converted" in report.facts
    assert known(report) == {frames.UNDESCRIBED: 2}


def test_a_converted_set_alone_is_well(downloaded, tmp_path_factory):
    output = tmp_path_factory.mktemp("converted")
    convert(downloaded, output, mode="copy")
    report = check("davis", output)
    assert report.ok
    assert davis.NO_SCORING in known(report)


DAVIS_FAULTS = {
    "no frames": (lambda root: (root / "DAVIS/JPEGImages/480p/dog").rename(root / "elsewhere"), davis.NO_FRAMES),
    "no mask": (lambda root: (root / "DAVIS/Annotations_unsupervised/480p/dog/00001.png").unlink(), frames.NO_MASK),
    "no list": (lambda root: (root / "DAVIS/ImageSets/2017/val.txt").unlink(), davis.NO_PART),
    "no category": (lambda root: write_json(root / "DAVIS/davis_semantics.json", {}), davis.NO_SEMANTICS),
    "no expression": (lambda root: (root / "davis_text_annotations/Davis17_annot2.txt").write_text("\n"),
                      davis.NO_EXPRESSION),
    "bad line": (lambda root: (root / "davis_text_annotations/Davis17_annot2.txt").write_text("dog a dog\n"),
                 davis.BAD_LINE),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind"), DAVIS_FAULTS.values(), ids=DAVIS_FAULTS.keys())
def test_each_fault_of_a_downloaded_davis_is_found(downloaded, spoil, kind):
    spoil(downloaded)
    assert found("davis", downloaded, deep=False)[kind] == 1


# ---------------------------------------------------------------- RefCOCO/+/g

LISTS = [f"refcoco/instances_refcoco_{split}.json" for split in ("train", "val")]


@pytest.fixture
def coco(tmp_path):
    """RefCOCO with one image and two sentences in each list."""
    image = {"file_name": "COCO_train2014_1.jpg", "width": WIDTH, "height": HEIGHT, "caption": "left", "original_id": 1}
    for name in LISTS:
        write_json(
            tmp_path / name,
            {
                "images": [{"id": i, **image} for i in (0, 1)],
                "annotations": [{"id": i, "image_id": i, "segmentation": [[1, 1, 9, 1, 9, 9]]} for i in (0, 1)],
            },
        )
    write_frame(tmp_path / "train2014/COCO_train2014_1.jpg")
    return tmp_path


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_refcoco_is_well(coco, deep):
    report = check("refcoco", coco, deep=deep)
    assert report.ok, report.text()
    assert "refcoco+, refcocog: not here, not checked" in report.facts


PICTURE = "train2014/COCO_train2014_1.jpg"
COCO_FAULTS = {
    "missing image": (lambda root: (root / PICTURE).unlink(), refcoco.NO_IMAGE, True),
    "no images": (lambda root: (root / "train2014").rename(root / "x"), refcoco.NO_IMAGE, True),
    "truncated image": (lambda root: truncate(root / PICTURE, 0.9), refcoco.BROKEN_IMAGE, False),
    "image of another size": (lambda root: write_frame(root / PICTURE, (8, 8)), refcoco.IMAGE_SIZE, True),
    "missing list": (lambda root: (root / LISTS[0]).unlink(), refcoco.NO_LIST, True),
    "no annotation": (lambda root: edit_json(root / LISTS[0], lambda c: c["annotations"].pop()),
                      refcoco.NOT_ONE_ANNOTATION, True),
    "no caption": (lambda root: edit_json(root / LISTS[0], lambda c: c["images"][0].pop("caption")),
                   refcoco.NO_CAPTION, True),
    "malformed image": (lambda root: edit_json(root / LISTS[0], lambda c: c["images"].append({"id": 7})),
                        refcoco.BAD_IMAGE, True),
    "malformed list": (lambda root: edit_json(root / LISTS[0], lambda c: c.pop("images")), refcoco.BAD_LIST, True),
    "malformed mask": (lambda root: edit_json(root / LISTS[0], lambda c: c["annotations"][0].update(segmentation=[])),
                       refcoco.BAD_MASK, False),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "quick"), COCO_FAULTS.values(), ids=COCO_FAULTS.keys())
def test_each_fault_of_refcoco_is_found(coco, spoil, kind, quick):
    spoil(coco)
    assert found("refcoco", coco, deep=True)[kind] == 1
    assert (kind in found("refcoco", coco, deep=False)) == quick


def test_refers_own_files_alone_name_the_converter(tmp_path):
    (tmp_path / "refcoco").mkdir()
    (tmp_path / "refcoco/refs(unc).p").write_bytes(b"")
    report = check("refcoco", tmp_path)
    assert wrong(report) == {refcoco.NOT_CONVERTED: 2}
    assert "tools/data/convert_refexp_to_coco.py" in report.text()


# ---------------------------------------------------------------- the program


@pytest.mark.parametrize("name", ["ytvos", "davis", "a2d", "jhmdb", "refcoco"])
def test_an_empty_folder_says_what_belongs_there(tmp_path, name):
    report = check(name, tmp_path)
    assert [finding.kind.what[:7] for finding in report.findings(wrong=True)] == ["no part"]
    assert "--path is the folder that holds" in report.text()


def test_a_wrong_path_or_split_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        check("ytvos", tmp_path / "nowhere")
    with pytest.raises(InputError, match="no split 'valid'; it has train, test"):
        check("a2d", tmp_path, ["valid"])


def test_a_split_that_was_asked_for_must_be_there(youtube):
    assert check("ytvos", youtube, ["train"]).ok
    assert not check("ytvos", youtube, ["train", "valid"]).ok


def test_the_report_counts_all_and_shows_a_few(tmp_path):
    report = Report("ytvos", tmp_path)
    kind = Kind("thing is broken", "mend it")
    for number in range(7):
        report.add(kind, tmp_path / f"{number}.png")
    lines = report.text().splitlines()
    assert "  7 × thing is broken" in lines
    assert "    to do: mend it" in lines
    assert sum(".png" in line for line in lines) == MOST_SHOWN
    assert "      0.png" in lines
    assert "      and 2 more" in lines


def test_exit_codes_and_json_of_the_program(youtube, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main(["ytvos", "--path", str(youtube), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["ok"] is True
    (youtube / FRAME).unlink()
    assert main(["ytvos", "--path", str(youtube), "--json", str(report)]) == 1
    (finding,) = json.loads(report.read_text())["findings"][:1]
    assert (finding["what"], finding["count"], finding["first"]) == (frames.NO_FRAME.what, 1, [FRAME])
    assert "all is well" in capsys.readouterr().out


def test_runs_as_a_script_from_anywhere(tmp_path):
    command = [sys.executable, str(ROOT / "tools/data/check.py"), "ytvos", "--path", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nowhere: no such folder" in done.stderr


@pytest.mark.skipif(not SHARED.exists(), reason=f"the real data is not at {SHARED}")
def test_the_real_data():
    assert check("ytvos", SHARED / "davis16-train").ok
    assert not wrong(check("davis", SHARED / "ref-davis")).keys() & {davis.NO_PART, frames.NO_MASK, davis.NO_EXPRESSION}
    missing = wrong(check("a2d", SHARED / "a2d_sentences"))
    assert missing == {a2d.NO_VIDEO: 3653, a2d.NO_MASKS: 11544}
    assert wrong(check("jhmdb", SHARED / "jhmdb_sentences"))[jhmdb.NO_FRAMES] == 928
    assert "202 = 507 − 305" in check("ytvos", SHARED / "ref-youtube-vos").text()
