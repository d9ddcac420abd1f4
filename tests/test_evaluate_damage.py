"""Masks and zips that are damaged: a line that says which, and no score."""

import io
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_evaluate import (
    EXPRESSIONS,
    FRAMES,
    SIZE,
    labels,
    made_case,
    mean,
    predicted,
    scores,
)

from tools.evaluate import main
from tools.scoring.png import decode_mask
from util.mask_io import write_label_map, write_mask


@pytest.fixture
def case(tmp_path):
    return made_case(tmp_path)


def save(path, array, **options):
    Image.fromarray(array).save(path, format="PNG", **options)


def stray(case):
    save(case.first, np.where(predicted("beach", "0", FRAMES[0]), np.uint8(255), np.uint8(7)))


def truncated(case):
    noise = np.random.default_rng(0).integers(0, 2, SIZE, dtype=np.uint8) * 255
    save(case.first, noise)
    case.first.write_bytes(case.first.read_bytes()[:-40])


def flipped(case):
    """A bit of the pixels' data is another; the chunk's checksum tells."""
    data = bytearray(case.first.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 1
    case.first.write_bytes(data)


def swollen(case):
    """A header that promises 4 gigapixels."""
    data = case.first.read_bytes()
    header = b"IHDR" + struct.pack(">IIBBBBB", 65535, 65535, 8, 0, 0, 0, 0)
    case.first.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])


FIRST = "beach/0/00000.png"
DAMAGES = {
    "missing": (lambda case: case.first.unlink(), f"1 problems: {FIRST} is missing"),
    "empty": (lambda case: case.first.write_bytes(b""), f"{FIRST} is empty"),
    "no PNG": (lambda case: case.first.write_bytes(b"GIF89a" * 9), f"{FIRST} is not a PNG"),
    "cut": (truncated, f"{FIRST} is broken"),
    "bit flipped": (flipped, f"{FIRST} is broken"),
    "promises gigapixels": (swollen, f"{FIRST} is 65535x65535, its frame's ground truth is 32x24"),
    "size": (lambda case: write_mask(case.first, np.zeros((32, 24))), f"{FIRST} is 24x32, its frame's ground truth"),
    "colour": (lambda case: save(case.first, np.zeros((*SIZE, 3), np.uint8)), f"{FIRST} is 8-bit colour"),
    "palette": (lambda case: write_label_map(case.first, labels("beach", FRAMES[0])), f"{FIRST} is 8-bit palette"),
    "one bit": (lambda case: save(case.first, np.zeros(SIZE, bool)), f"{FIRST} is 1-bit grey"),
    "stray value": (stray, f"{FIRST} holds the values [7]"),
    "folder": (lambda case: (case.first.unlink(), case.first.mkdir()), f"{FIRST} cannot be read"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_one_bad_mask_and_there_is_no_score_but_a_partial_one(damage, message, program, case):
    damage(case)
    outcome = program(main, *case.flags())
    assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
    assert message in outcome.errors[0]
    assert "1 of 4 expressions" in outcome.errors[0]
    assert not (case.root / "scores.json").exists()
    outcome = program(main, *case.flags(), "--partial")
    assert outcome.code == 0
    assert "PARTIAL: 1 of 4 expressions left out" in outcome.out
    assert message.removeprefix("1 problems: ") in outcome.out
    figures = case.figures()
    assert scores(figures["overall"]) == mean(EXPRESSIONS[1:])
    assert list(figures["left_out"]) == ["beach/0"]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=3), st.integers(0, 120))
def test_damaged_bytes_are_a_mask_or_refused(changes, cut):
    """Whatever the bytes are, what comes is a mask of the right size or a reason."""
    data = bytearray(png(np.eye(*SIZE, dtype=np.uint8) * 255))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        mask = decode_mask(bytes(data[: len(data) - cut // 8]), SIZE)
    except ValueError as error:
        assert str(error)
    else:
        assert (mask.pixels.shape, mask.pixels.dtype) == (SIZE, bool)


def zip_bomb(case):
    return case.zipped(data=b"\0" * (17 << 20))


def zip_bit(case):
    path = case.zipped()
    data = bytearray(path.read_bytes())
    data[30 + len("Annotations/" + FIRST) + 40] ^= 1  # in the first member, behind its header
    path.write_bytes(data)
    return path


def zip_twice(case):
    path = case.zipped()
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("Annotations/" + FIRST, b"")
    return path


def zip_unpacked_wrong(case):
    path = case.root / "flat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(case.first, FIRST)
    return path


def zip_cut(case):
    path = case.zipped()
    path.write_bytes(path.read_bytes()[:-30])
    return path


ZIPS = {
    "bomb": (zip_bomb, f"{FIRST} unpacks to 17825792 bytes"),
    "bit flipped": (zip_bit, f"{FIRST} is broken"),
    "name twice": (zip_twice, "1 names are in it twice"),
    "top folder": (zip_unpacked_wrong, "no folder Annotations/ at its top"),
    "cut": (zip_cut, "not a zip, or broken"),
    "no zip": (lambda case: case.first, "not a zip, or broken"),
    "nothing": (lambda case: case.root / "none", "no such file or folder"),
}


@pytest.mark.parametrize(("damage", "message"), ZIPS.values(), ids=ZIPS)
def test_a_bad_zip_is_one_line(damage, message, program, case):
    outcome = program(main, *case.flags(damage(case)))
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert message in outcome.errors[0]


def test_names_in_a_zip_touch_no_file(program, case):
    path = case.zipped()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Annotations/../../evil.png", b"x")
    before = sorted(case.root.parent.rglob("*"))
    assert program(main, *case.flags(path), "--report", case.root / "report").code == 0
    new = {p.name for p in set(case.root.parent.rglob("*")) - set(before)}
    assert new == {"scores.json", "report", "index.html"}
