"""Ids are read as Pillow reads them, whatever kind of PNG holds them."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_davis2017_metrics import label_maps

from davis2017 import png
from davis2017.png import id_image_size, read_ids
from util.errors import InputError
from util.mask_io import read_label_map, write_label_map

LABELS = (np.indices((30, 50)).sum(axis=0) // 9).astype(np.uint8)  # 0 … 8


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mask.png"
    write_label_map(path, LABELS)
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_png(path, raw, pieces=1, colour=3, interlaced=0):
    """A palette PNG of LABELS' size whose rows, with their filters, are `raw`, in so many IDAT chunks."""
    header = struct.pack(">IIBBBBB", LABELS.shape[1], LABELS.shape[0], 8, colour, 0, 0, interlaced)
    packed = zlib.compress(raw)
    step = -(-len(packed) // pieces)
    parts = [chunk(b"IDAT", packed[start : start + step]) for start in range(0, len(packed), step)]
    chunks = [chunk(b"IHDR", header), chunk(b"PLTE", bytes(768)), *parts, chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def rows_with_filter(number, labels):
    return np.insert(labels, 0, number, axis=1).tobytes()


def test_plain_files_need_no_pillow(path, monkeypatch):
    monkeypatch.setattr(png, "read_label_map", None)
    for pieces in (1, 3):
        write_png(path, rows_with_filter(0, LABELS), pieces)
        ids = read_ids(path)
        assert (ids == LABELS).all()
        assert ids.flags["C_CONTIGUOUS"]
        assert ids.flags["WRITEABLE"]


@settings(max_examples=30, deadline=None)
@given(label_maps(1, 254), st.sampled_from(["P", "L"]))
def test_what_is_written_is_read(tmp_path_factory, maps, mode):
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    if mode == "P":
        write_label_map(path, maps[0])
    else:
        Image.fromarray(maps[0]).save(path)
    assert (read_ids(path) == maps[0]).all()
    assert id_image_size(path) == maps[0].shape[::-1]


def test_filtered_rows_are_left_to_pillow(path):
    up = np.diff(LABELS.astype(int), axis=0, prepend=0).astype(np.uint8)
    write_png(path, rows_with_filter(2, up))
    assert (read_ids(path) == LABELS).all()


def test_few_bits_are_left_to_pillow(path):
    image = Image.fromarray(LABELS % 2)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(path, bits=1)
    assert path.read_bytes()[24] == 1
    assert (read_ids(path) == LABELS % 2).all()
    assert id_image_size(path) == (50, 30)


def test_grey_values_are_ids_of_8_bits_only(path):
    write_png(path, rows_with_filter(0, LABELS), colour=0)
    assert (read_ids(path) == LABELS).all()
    Image.fromarray(LABELS.astype(np.uint16)).save(path)
    with pytest.raises(InputError, match="8-bit grey"):
        id_image_size(path)


@pytest.mark.parametrize("end", [0, 7, 20, 40, 830, -30, -10])
def test_cut_files_are_refused_or_whole(path, end):
    path.write_bytes(path.read_bytes()[:end])
    try:
        expected = read_label_map(path)
    except InputError as error:
        with pytest.raises(InputError, match=r"mask\.png") as ours:
            read_ids(path)
        assert str(ours.value) == str(error)
    else:
        assert (read_ids(path) == expected).all()


def test_damaged_pixels_are_not_taken_for_ids(path):
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 12] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"mask\.png"):
        read_ids(path)


@pytest.mark.parametrize("rows", [29, 31])
def test_a_header_that_does_not_fit_the_pixels_is_left_to_pillow(path, rows):
    write_png(path, rows_with_filter(0, np.resize(LABELS, (rows, 50))))
    try:
        expected = read_label_map(path)
    except InputError:
        with pytest.raises(InputError):
            read_ids(path)
    else:
        assert (read_ids(path) == expected).all()


def test_missing_files_are_named(tmp_path):
    for read in (read_ids, id_image_size):
        with pytest.raises(InputError, match=r"none\.png"):
            read(tmp_path / "none.png")
