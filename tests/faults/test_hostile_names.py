"""Names that would lead out of the folders: in JSON, text files and zips. Nothing is read or written outside."""

import json
import pickle
import stat
import zipfile
from pathlib import PurePosixPath

import numpy as np
import pytest
from conftest import YTVOS_FRAMES, write_frames

from datasets.a2d import read_sentences
from datasets.expressions import read_meta_expressions
from datasets.jhmdb import read_samples
from datasets.refexp import read_index
from datasets.ytvos_videos import VideoCollection
from davis2017.ground_truth import read_ground_truth
from davis2017.tasks import TASKS
from tests.faults.refusals import put, tally
from tools.check_submission import main as check_submission
from tools.data.check import SETS, check
from tools.data.convert_davis_to_ytvos import _read_list
from tools.data.convert_refexp_to_coco import convert
from tools.data.merge_sets import link, merge
from tools.scoring.result_files import open_results
from util.model_folder import ModelConfig
from util.names import is_safe_name

HOSTILE = (
    "..", ".", "", "../x", "../../etc/passwd", "/etc/passwd", "//server/share", "a/b", "a/../../b", "a\\..\\b",
    "..\\x", "C:\\x", "C:x", "C:/x", "\\\\server\\share", "a\0b", "\0", "a\nb", "a\x1b[2Jb", "a\u202eb", "\ud800",
    "x" * 300, "狗" * 100, "a\u2028b",
)  # fmt: skip
shown = pytest.mark.parametrize("name", HOSTILE, ids=[ascii(name)[:20] for name in HOSTILE])


@shown
def test_names_in_json(tmp_path, name):
    """As a video, a frame, an expression's id, a file."""
    path = tmp_path / "list.json"

    def given(content):
        path.write_text(json.dumps(content))

    def videos(video="v", frame="0", expression="0"):
        return {"videos": {video: {"frames": [frame], "expressions": {expression: {"exp": "a dog"}}}}}

    outline = {"segmentation": [[0, 0, 3, 0, 3, 3]], "category_id": 1, "image_id": 1, "id": 1}
    image = {"id": 1, "file_name": name, "height": 4, "width": 4, "caption": "a"}
    with tally("names with .., absolute, with NULs, drives, links: in JSON") as tries:
        for content in (videos(video=name), videos(frame=name), videos(expression=name)):
            given(content)
            tries.refused(lambda: read_meta_expressions(path), str(path))
        given([["a dog", name, 1, 0]])
        tries.refused(lambda: read_sentences(path), str(path))
        for row in (["v", f"./j/{name}/00001.png", "./j/m.mat"], ["v", "./j/a/00001.png", f"./j/{name}"]):
            given([[*row, 9, "a dog"]])
            tries.settled(lambda: read_samples(path), str(path), right=lambda found: inside(found[0]))
        given({"images": [image], "annotations": [outline]})
        tries.refused(lambda: read_index(path), str(path))
        put(tmp_path / "refer" / "refcoco" / "instances.json", path.read_bytes())
        reference = {"image_id": 1, "ann_id": 1, "split": "train", "sentences": [{"raw": "a", "sent": "a"}]}
        put(tmp_path / "refer" / "refcoco" / "refs(unc).p", pickle.dumps([reference], 2))
        tries.refused(lambda: convert(tmp_path / "refer", tmp_path / "out"), "a file's name")
        given({"model": {}, "inference": {}, "text_encoder": name})
        path.rename(tmp_path / "config.json")
        tries.refused(lambda: ModelConfig.read(tmp_path), "config.json")


def inside(sample):
    parts = (*PurePosixPath(sample.images).parts, *PurePosixPath(sample.mask).parts)
    return all(map(is_safe_name, parts))


@pytest.mark.parametrize("name", [name for name in HOSTILE if name and name.split() == [name]], ids=ascii)
def test_names_in_text_files(tmp_path, name):
    path = put(tmp_path / "ImageSets" / "2017" / "val.txt", name.encode("utf-8", "surrogatepass"))
    (tmp_path / "Annotations_unsupervised" / "480p").mkdir(parents=True)
    with tally("names with .., absolute, with NULs, drives, links: in text files") as tries:
        tries.refused(lambda: read_ground_truth(tmp_path, "val", TASKS["unsupervised"]), str(path))
        tries.refused(lambda: _read_list(path), str(path))


@pytest.mark.parametrize("kind", SETS)
def test_the_doctor_goes_nowhere_else(tmp_path, kind):
    """It reports such names, and looks for nothing under them."""
    root, outside = tmp_path / "set", tmp_path / "outside"
    write_frames(outside, ["00000"])
    texts = {"videos": {"../../outside": {"frames": ["00000"], "expressions": {"0": {"exp": "a"}}}}}
    put(root / "meta_expressions" / "train" / "meta_expressions.json", json.dumps(texts).encode())
    put(root / "train" / "JPEGImages" / "x", b"")
    put(root / "DAVIS" / "ImageSets" / "2017" / "val.txt", b"../../../../outside a\0b")
    put(root / "DAVIS" / "JPEGImages" / "480p" / "x", b"")
    put(root / "DAVIS" / "davis_semantics.json", b'{"../outside": {"1": "x"}, "a": {"' + b"9" * 5000 + b'": 1}}')
    rows = [["a dog", "../../outside", 1, 0], ["a", "a\0b", 10**30, 10**30]]
    put(root / "a2d_sentences_single_frame_train_annotations.json", json.dumps(rows).encode())
    frames = ["./j/../../outside/00000.png", "./j/a/" + "9" * 5000 + ".png", "./j/a\0b/00001.png", "./j/a/00001.png"]
    rows = [["v", frame, "./j/../../outside/00000.jpg", 10**12, "a man"] for frame in frames]
    put(root / "jhmdb_sentences_samples_metadata.json", json.dumps(rows).encode())
    (root / "Rename_Images").mkdir()
    image = {"id": 1, "file_name": "../../outside/00000.jpg", "height": 4, "width": 4, "caption": "a"}
    content = {"images": [image], "annotations": [{"image_id": []}, {"image_id": {}}, 7, None]}
    put(root / "refcoco" / "instances_refcoco_train.json", json.dumps(content).encode())
    (outside / "00000.jpg").chmod(0)
    with tally("names with .., absolute, with NULs, drives, links: under the data doctor") as tries:
        for deep in (False, True):
            tries.settled(lambda: check(kind, root, deep=deep), right=lambda report: not report.ok)  # noqa: B023
            text = check(kind, root, deep=deep).text()
            assert "\0" not in text and "outside/00000.jpg:" not in text


def test_the_merger_goes_nowhere_else(tmp_path):
    texts = {"videos": {"../../../outside": {"frames": ["0"], "expressions": {"0": {"exp": "a"}}}}}
    path = put(tmp_path / "set" / "meta_expressions" / "train" / "meta_expressions.json", json.dumps(texts).encode())
    with tally("names with .., absolute, with NULs, drives, links: in JSON") as tries:
        tries.refused(lambda: merge([tmp_path / "set"], tmp_path / "a" / "b" / "all", "train", link), str(path))
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").rglob("outside"))


def test_frames_of_a_list_stay_in_its_folder(ytvos):
    """Links inside a data set are its owner's; a name never makes one."""
    path = ytvos / "meta_expressions" / "valid" / "meta_expressions.json"
    write_frames(ytvos / "valid" / "outside", YTVOS_FRAMES)
    content = json.loads(path.read_bytes())
    content["videos"]["../outside"] = content["videos"].pop("beach")
    path.write_text(json.dumps(content))
    with tally("names with .., absolute, with NULs, drives, links: in JSON") as tries:
        tries.refused(lambda: VideoCollection(ytvos, "valid"), str(path))


# ---- zips

MASK = b"\x89PNG\r\n\x1a\n"


@shown
def test_names_in_zips(tmp_path, program, name):
    """What is in a zip never becomes a path: the scorer looks up what it wants, the checker names what it finds."""
    texts = {"videos": {"v": {"frames": ["0"], "expressions": {"0": {"exp": "a"}}}}}
    meta = put(tmp_path / "meta.json", json.dumps(texts).encode())
    path = tmp_path / "valid.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Annotations/v/0/0.png", MASK)
        info = zipfile.ZipInfo("x")
        info.filename = f"Annotations/{name}".encode("utf-8", "replace").decode()
        archive.writestr(info, b"payload")
    before = sorted(tmp_path.rglob("*"))
    with tally("names with .., absolute, with NULs, drives, links: in zips") as tries:
        open_results.cache_clear()
        tries.settled(lambda: open_results(path).read("v/0/0.png"), right=lambda data: data == MASK)
        outcome = program(check_submission, "--zip", path, "--meta", meta)
        assert outcome.code == 1 and outcome.out.replace("\n", "").isprintable()
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_zips(tmp_path, program):
    """A member that is a link is no mask, and is not followed."""
    secret = put(tmp_path / "secret.png", MASK)
    meta = put(
        tmp_path / "meta.json",
        json.dumps({"videos": {"v": {"frames": ["0"], "expressions": {"0": {"exp": "a"}}}}}).encode(),
    )
    info = zipfile.ZipInfo("Annotations/v/0/0.png")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "valid.zip", "w") as archive:
        archive.writestr(info, str(secret))
    with tally("names with .., absolute, with NULs, drives, links: in zips") as tries:
        open_results.cache_clear()
        files = open_results(tmp_path / "valid.zip")
        tries.settled(lambda: files.read("v/0/0.png"), right=lambda data: data == str(secret).encode())
        outcome = program(check_submission, "--zip", tmp_path / "valid.zip", "--meta", meta)
        assert outcome.code == 1 and "links" in outcome.out
    assert np.all(np.frombuffer(secret.read_bytes(), np.uint8) == np.frombuffer(MASK, np.uint8))
