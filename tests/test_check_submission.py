"""The check of a submission zip: a whole one passes, and each damage is told apart and named."""

import io
import json
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from datasets.expressions import read_meta_expressions
from tools.check_submission import main, masks_of, submission_problems
from util.mask_io import davis_palette

REAL = Path(__file__).parents[2] / "shared" / "data" / "ref-youtube-vos" / "meta_expressions"
FRAMES = ["00000", "00005"]
VIDEOS = {"beach": ("0", "1"), "street": ("0",)}
FIRST = "Annotations/beach/0/00000.png"


def picture(size=(4, 3), mode="L", kind="PNG"):
    file, image = io.BytesIO(), Image.new(mode, size)
    if mode == "P":
        image.putpalette(davis_palette())
    image.save(file, format=kind)
    return file.getvalue()


MASK = picture()


def listed(videos):
    """The content of a meta_expressions.json."""
    return {
        name: {"expressions": {key: {"exp": "a dog"} for key in keys}, "frames": FRAMES}
        for name, keys in videos.items()
    }


@pytest.fixture
def meta(tmp_path):
    """A validation list that holds a test video too, and the test list beside it."""
    for split, videos in {"valid": VIDEOS | {"secret": ("0",)}, "test": {"secret": ("0",)}}.items():
        path = tmp_path / "meta_expressions" / split / "meta_expressions.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"videos": listed(videos)}))
    return tmp_path / "meta_expressions" / "valid" / "meta_expressions.json"


@pytest.fixture
def whole():
    """Name → bytes of a good submission."""
    return {f"Annotations/{v}/{e}/{f}.png": MASK for v, keys in VIDEOS.items() for e in keys for f in FRAMES}


def pack(path, members):
    """members: pairs of a name or ZipInfo, and bytes."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # names that are in it twice
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_a_whole_zip_passes_with_and_without_entries_for_folders(program, tmp_path, meta, whole):
    folders = ["Annotations/", "Annotations/beach/", "Annotations/beach/1/"]
    for extra in [], [(name, b"") for name in folders]:
        path = pack(tmp_path / "valid.zip", [*extra, *whole.items()])
        outcome = program(main, "--zip", path, "--meta", meta)
        assert outcome.code == 0, outcome
        assert "6 masks of 3 expressions in 2 videos" in outcome.out


def without_first(whole):
    return [(name, data) for name, data in whole.items() if name != FIRST]


def first_is(data):
    return lambda whole: (whole | {FIRST: data}).items()


def and_also(name, data=MASK):
    return lambda whole: [*whole.items(), (name, data)]


def special(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def with_nul(whole):
    info = zipfile.ZipInfo("x")
    info.filename = "Annotations/beach/0/00000.png\0.exe"
    return [*whole.items(), (info, MASK)]


DAMAGES = {
    "missing": (without_first, "1 missing masks: " + FIRST),
    "parent folder": (and_also("Annotations/../../evil.png"), "1 unsafe names: Annotations/../../evil.png"),
    "absolute": (and_also("/Annotations/beach/0/00000.png"), "1 unsafe names: /Annotations"),
    "backslash": (and_also("Annotations\\beach\\0\\00000.png"), "1 unsafe names: Annotations\\beach"),
    "drive": (and_also("C:/evil.png"), "1 unsafe names: C:/evil.png"),
    "NUL": (with_nul, r"1 unsafe names: Annotations/beach/0/00000.png\x00.exe"),
    "terminal's orders": (and_also("\x1b[2J.png"), r"1 unsafe names: \x1b[2J.png"),
    "twice": (and_also(FIRST), "1 names that are in it twice: " + FIRST),
    "link": (
        lambda whole: [*without_first(whole), (special(FIRST, stat.S_IFLNK | 0o777), b"/etc/passwd")],
        "1 links or other special files: " + FIRST,
    ),
    "other top": (and_also("valid/beach/0/00000.png"), "1 files outside Annotations/: valid/beach/0/00000.png"),
    "packer's own": (and_also("__MACOSX/._Annotations"), "1 files outside Annotations/"),
    "extra frame": (and_also("Annotations/beach/0/00001.png"), "1 files that nobody asked for"),
    "test video": (and_also("Annotations/secret/0/00000.png"), "1 files that nobody asked for"),
    "extra folder": (and_also("Annotations/secret/", b""), "1 files that nobody asked for: Annotations/secret/"),
    "palette": (first_is(picture(mode="P")), "1 files that are no 8-bit grey PNG: " + FIRST + " is 8-bit palette 4x3"),
    "colour": (first_is(picture(mode="RGB")), "8-bit colour"),
    "one bit": (first_is(picture(mode="1")), "1-bit grey"),
    "JPEG": (first_is(picture(kind="JPEG")), "is not a PNG"),
    "empty": (first_is(b""), "is empty"),
    "broken header": (first_is(MASK[:20] + b"\xff" + MASK[21:]), "broken PNG header"),
    "size": (
        first_is(picture((3, 4))),
        "1 masks of another size than most of their video's: " + FIRST + " is 8-bit grey 3x4",
    ),
    "bomb": (first_is(b"\0" * (17 << 20)), "unpacks to"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_each_damage_is_named_and_nothing_else(damage, message, program, tmp_path, meta, whole):
    path = pack(tmp_path / "valid.zip", damage(whole))
    outcome = program(main, "--zip", path, "--meta", meta)
    assert outcome.code == 1
    assert message in outcome.out
    assert len(outcome.out.splitlines()) == 4  # the list, how much is wanted, one kind of problem, the verdict
    assert "refuse" in outcome.out.splitlines()[-1]


def test_a_member_that_is_not_where_the_list_says_is_named(program, tmp_path, meta, whole):
    path = pack(tmp_path / "valid.zip", whole.items())
    data = bytearray(path.read_bytes())
    data[0:4] = b"????"
    path.write_bytes(data)
    outcome = program(main, "--zip", path, "--meta", meta)
    assert (outcome.code, "is broken" in outcome.out) == (1, True)


def test_what_cannot_be_read_is_said_in_one_line(program, tmp_path, meta, whole):
    path = pack(tmp_path / "valid.zip", whole.items())
    cut = tmp_path / "cut.zip"
    cut.write_bytes(path.read_bytes()[:-30])
    for flags in (
        ("--zip", cut, "--meta", meta),
        ("--zip", tmp_path / "none.zip", "--meta", meta),
        ("--zip", path, "--meta", tmp_path / "none.json"),
        ("--zip", path, "--meta", meta, "--exclude_meta", tmp_path / "none.json"),
    ):
        outcome = program(main, *flags)
        assert (outcome.code, len(outcome.errors)) == (2, 1)
        assert str(tmp_path) in outcome.errors[0]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real lists are not at {REAL}")
def test_the_real_list_of_validation(tmp_path):
    """202 videos and 834 expressions; about 22,000 masks, and one of each damage among them."""
    videos = read_meta_expressions(REAL / "valid" / "meta_expressions.json", REAL / "test" / "meta_expressions.json")
    names = [name for video in videos for name in masks_of(video)]
    assert (len(videos), sum(len(video.expressions) for video in videos)) == (202, 834)
    members = dict.fromkeys(names, MASK)
    with zipfile.ZipFile(pack(tmp_path / "whole.zip", members.items())) as archive:
        assert submission_problems(archive, videos) == {}
    damaged = members | {names[5]: picture((3, 4)), names[-1]: picture(mode="P"), "Annotations/../x.png": MASK}
    del damaged[names[100]]
    with zipfile.ZipFile(pack(tmp_path / "damaged.zip", damaged.items())) as archive:
        problems = submission_problems(archive, videos)
    offenders = [
        "Annotations/../x.png",
        names[100],
        f"{names[-1]} is 8-bit palette 4x3",
        f"{names[5]} is 8-bit grey 3x4",
    ]
    assert sorted(name for names in problems.values() for name in names) == sorted(offenders)
