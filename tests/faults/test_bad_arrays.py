"""Annotations in HDF5 and MATLAB files, and REFER's pickles: damaged, of odd kinds, or huge."""

import json
import pickle
import resource
import struct
import zlib

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from datasets import a2d, jhmdb
from datasets.mat_file import MOST_BYTES
from tests.faults.refusals import damaged, put, rewritten, tally
from tools.data.convert_refexp_to_coco import convert, load_plain_pickle
from util.mask_io import MOST_PIXELS

MASKS = np.stack([np.arange(12)[:, None] <= np.full(8, i + 4) for i in range(2)]).astype(np.uint8)  # [2, W, H]


def h5(path, instance=(0, 3), masks=MASKS, **how):
    with h5py.File(path, "w") as file:
        file.create_dataset("instance", data=np.asarray(instance))
        file.create_dataset("reMask", data=masks, **how)
    return path


def test_damaged_h5(tmp_path):
    """Ids and lengths in an h5 have no check sum: a changed one may give another mask, and nobody can know."""
    whole = h5(tmp_path / "00001.h5", compression="gzip", fletcher32=True).read_bytes()
    path = tmp_path / "00001.h5"
    with tally("bad annotations: h5 cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            a2d.annotated_frames.cache_clear()
            tries.settled(lambda: a2d.read_mask(path, 3), str(path), right=lambda mask: mask.dtype == bool)
            tries.settled(lambda: a2d.annotated_frames(tmp_path), str(path))

        tries.each(damaged(whole), attempt)


ODD_H5 = {
    "NaN": {"masks": np.where(MASKS > 0, np.nan, 0.0)},
    "infinity": {"masks": np.where(MASKS > 0, np.inf, 0.0)},
    "text": {"masks": np.array([b"a", b"b"])},
    "words": {"masks": ["x", "y"]},
    "complex": {"masks": MASKS + 1j},
    "records": {"masks": np.zeros(2, [("a", "u1"), ("b", "f4")])},
    "one number": {"masks": 3},
    "another number of masks": {"masks": MASKS[:1]},
    "four axes": {"masks": MASKS[None]},
    "no instance": {"instance": ()},
    "instance NaN": {"instance": (np.nan, 3)},
    "instance infinite": {"instance": (np.inf, 3)},
    "instance text": {"instance": (b"0", b"3")},
    "other instances": {"instance": (0, 4)},
    "huge, and nothing in it": {"masks": None, "shape": (2, 60_000, 60_000), "dtype": "u1", "chunks": (1, 64, 64)},
    "huge chunks": {
        "masks": None,
        "shape": (2, 4, 4),
        "maxshape": (None,) * 3,
        "chunks": (8, 16_000, 16_000),
        "dtype": "u1",
    },
}


@pytest.mark.parametrize("kind", ODD_H5)
def test_odd_h5(tmp_path, kind):
    path = h5(tmp_path / "00001.h5", **ODD_H5[kind])
    with tally("bad annotations: h5 of odd kinds, NaN, huge") as tries:
        tries.refused(lambda: a2d.read_mask(path, 3), str(path))


def test_h5_of_another_make(tmp_path):
    path = tmp_path / "00001.h5"
    with tally("bad annotations: h5 of odd kinds, NaN, huge") as tries:
        tries.refused(lambda: a2d.read_mask(path, 3), str(path), "no such file")
        for data in (b"", b"text", b"\x89HDF\r\n\x1a\n", b"\0" * 2000):
            path.write_bytes(data)
            tries.refused(lambda: a2d.read_mask(path, 3), str(path))
        with h5py.File(path, "w") as file:
            file.create_group("reMask")
            file.create_group("instance")
        tries.refused(lambda: a2d.read_mask(path, 3), str(path))
        h5(path, masks=MASKS.astype(float))  # numbers of another kind are masks too
        tries.settled(lambda: a2d.read_mask(path, 3), right=lambda mask: (mask == MASKS[1].T).all())


# ---- .mat

PUPPET = (np.arange(10)[:, None, None] <= np.arange(6)).repeat(8, axis=1).astype(np.uint8)  # [H, W, T]


def mat(path, value=PUPPET, name="part_mask", **how):
    savemat(path, {name: value, "other": np.zeros(3)}, **how)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_mat(tmp_path, packed):
    whole = mat(tmp_path / "puppet_mask.mat", do_compression=packed).read_bytes()
    path = tmp_path / "puppet_mask.mat"
    with tally("bad annotations: mat cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            tries.settled(lambda: jhmdb.read_mask(path, 2), str(path), right=lambda mask: mask.dtype == bool)

        tries.each(damaged(whole), attempt)


ODD_MAT = {
    "NaN": np.where(PUPPET > 0, np.nan, 0.0),
    "infinity": np.where(PUPPET > 0, np.inf, 0.0),
    "complex": PUPPET + 1j,
    "text": "masks",
    "cells": np.array([PUPPET, "x"], dtype=object),
    "record": {"a": PUPPET},
    "sparse": csc_matrix(PUPPET[..., 0]),
    "four axes": PUPPET[..., None, None].repeat(2, axis=-1),
    "too few frames": PUPPET[..., :2],
    "empty": np.zeros((0, 0)),
}


@pytest.mark.parametrize("kind", ODD_MAT)
def test_odd_mat(tmp_path, kind):
    path = mat(tmp_path / "puppet_mask.mat", ODD_MAT[kind])
    with tally("bad annotations: mat of odd kinds, NaN") as tries:
        tries.refused(lambda: jhmdb.read_mask(path, 2), str(path))


def test_mat_of_another_make(tmp_path):
    path = tmp_path / "puppet_mask.mat"
    with tally("bad annotations: mat of odd kinds, NaN") as tries:
        tries.refused(lambda: jhmdb.read_mask(path, 2), str(path), "no such file")
        mat(path, name="another")
        tries.refused(lambda: jhmdb.read_mask(path, 2), str(path))
        for data in (b"", b"text", b"\0" * 200, b"x" * 4000):
            path.write_bytes(data)
            tries.refused(lambda: jhmdb.read_mask(path, 2), str(path))
        mat(path, PUPPET[..., 0].astype(float), format="4")
        tries.refused(lambda: jhmdb.read_mask(path, 0), str(path), "-v7")
        for kind in (bool, np.int16, np.uint32, np.int64, np.float32, np.float64):  # any numbers are masks
            mat(path, PUPPET.astype(kind), do_compression=kind is bool)
            tries.settled(lambda: jhmdb.read_mask(path, 2), right=lambda mask: (mask == (PUPPET[..., 2] > 0)).all())


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_mat_bombs(tmp_path):
    """A packed part of 320 MB, and a header that promises 2³⁰ × 2³⁰: neither is ever in memory."""
    packer = zlib.compressobj(level=1)
    body = b"".join(packer.compress(bytes(1 << 24)) for _ in range(20)) + packer.flush()
    header = mat(tmp_path / "puppet_mask.mat").read_bytes()[:128]
    path = put(tmp_path / "puppet_mask.mat", header + struct.pack("<II", 15, len(body)) + body)
    before = peak_mib()
    with tally("decompression bombs: mat and h5") as tries:
        tries.refused(lambda: jhmdb.read_mask(path, 2), str(path), "bytes")
        whole = mat(path).read_bytes()
        size = struct.pack("<iii", *PUPPET.shape)
        assert size in whole
        path.write_bytes(whole.replace(size, struct.pack("<iii", 1 << 30, 1 << 30, 6)))
        tries.refused(lambda: jhmdb.read_mask(path, 2), str(path))
    assert peak_mib() - before < 2 * MOST_BYTES / 2**20


def test_h5_bomb(tmp_path):
    """Zeros packed a thousandfold."""
    path = h5(
        tmp_path / "00001.h5",
        masks=None,
        shape=(2, 8192, MOST_PIXELS // 8192),
        dtype="u1",
        chunks=(1, 4096, 4096),
        compression=9,
    )
    before = peak_mib()
    with tally("decompression bombs: mat and h5") as tries:
        tries.refused(lambda: a2d.read_mask(path, 3), str(path))
    assert peak_mib() - before < 256


# ---- REFER


REFERENCES = [
    {"ann_id": 7, "image_id": 5, "split": "train", "sentences": [{"raw": "The Dog.", "sent": "the dog"}]},
    {"ann_id": 8, "image_id": 5, "split": "val", "sentences": [{"raw": "a cat", "sent": "a cat"}]},
]
OUTLINE = {"image_id": 5, "category_id": 18, "segmentation": [[1, 1, 9, 1, 9, 9]], "area": 9.0, "bbox": [1, 1, 8, 8]}
INSTANCES = {
    "images": [{"id": 5, "file_name": "a.jpg", "height": 40, "width": 50}],
    "annotations": [{"id": 7, **OUTLINE}, {"id": 8, **OUTLINE}],
}


@pytest.fixture
def refer(tmp_path):
    put(tmp_path / "refcoco" / "instances.json", json.dumps(INSTANCES).encode())
    return put(tmp_path / "refcoco" / "refs(unc).p", pickle.dumps(REFERENCES, 2))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_damaged_pickles(refer, tmp_path, protocol):
    with tally("bad pickles: cut off or with changed bytes") as tries:

        def attempt(data):
            refer.write_bytes(data)
            tries.settled(lambda: convert(refer.parents[1], tmp_path / "out"), str(refer))

        tries.each(damaged(pickle.dumps(REFERENCES, protocol)), attempt)


def test_strange_values_in_pickles(refer, tmp_path):
    assert convert(refer.parents[1], tmp_path / "out") == {("refcoco", "train"): 1, ("refcoco", "val"): 1}
    with tally("bad pickles: one value strange or missing") as tries:

        def attempt(changed):
            refer.write_bytes(pickle.dumps(changed, 2))
            tries.settled(lambda: convert(refer.parents[1], tmp_path / "out"), str(refer))

        tries.each(rewritten(REFERENCES), attempt)


HUGE_PICKLES = {
    "memo of 2³² places": b"\x80\x02]r\xff\xff\xff\xff.",
    "bytes of 2⁶⁰": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "text of 2⁶⁰": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
    "frame of 2⁶²": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"].",
    "number of 2³¹ bytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "nested 50,000 times": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    "itself": b"\x80\x02]q\0h\0a.",
    "empty": b"",
}


@pytest.mark.parametrize("kind", HUGE_PICKLES)
def test_huge_pickles(refer, tmp_path, kind):
    refer.write_bytes(HUGE_PICKLES[kind])
    before = peak_mib()
    with tally("decompression bombs: pickles") as tries:
        tries.refused(lambda: convert(refer.parents[1], tmp_path / "out"), str(refer))
        tries.settled(lambda: load_plain_pickle(refer), str(refer))
    assert peak_mib() - before < 512


def test_a_pickle_that_names_a_huge_image(refer, tmp_path):
    content = json.loads(json.dumps(INSTANCES))
    content["images"][0] |= {"height": 10**9, "width": 10**9}
    put(refer.with_name("instances.json"), json.dumps(content).encode())
    from datasets.refexp import read_index

    with tally("decompression bombs: pickles") as tries:
        tries.settled(lambda: convert(refer.parents[1], tmp_path / "out"))
        made = tmp_path / "out" / "refcoco" / "instances_refcoco_train.json"
        tries.refused(lambda: read_index(made), str(made), "too large")
