"""Submission zips that are damaged, locked, swollen or packed oddly: read right, or refused with the member's name."""

import io
import json
import resource
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.faults.refusals import damaged, put, tally
from tools.scoring.evaluation import Request
from tools.scoring.mask_scores import VideoJob, score_video
from tools.scoring.result_files import open_results
from tools.scoring.ytvos import evaluate
from util.mask_io import write_label_map
from util.submission import write_submission

FRAMES = ("00000", "00005")
LABELS = (np.arange(96).reshape(8, 12) > 40).astype(np.uint8)
TEXTS = {"videos": {"v": {"frames": list(FRAMES), "expressions": {"0": {"exp": "a dog", "obj_id": "1"}}}}}


@pytest.fixture
def truth(tmp_path):
    for frame in FRAMES:
        write_label_map(tmp_path / "valid" / "Annotations" / "v" / f"{frame}.png", LABELS)
    put(tmp_path / "meta_expressions" / "valid" / "meta_expressions.json", json.dumps(TEXTS).encode())
    return tmp_path


def mask(values=LABELS * 255):
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def packed(path, members, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(f"Annotations/v/0/{name}.png", data)
    return path


def score(truth, results):
    """J of the one expression; what is wrong with its masks is an InputError."""
    open_results.cache_clear()
    request = Request("ytvos", truth, results)
    return evaluate(request).figures["overall"]["J"]


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_zips(truth, kind):
    path = packed(truth / "valid.zip", dict.fromkeys(FRAMES, mask()), kind)
    assert score(truth, path) == 1
    with tally("bad submissions: zips cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            tries.settled(lambda: score(truth, path), str(path), right=lambda j: j == 1)

        tries.each(damaged(path.read_bytes()), attempt)


BAD_MASKS = {
    "empty": b"", "text": b"no image", "cut off": mask()[:-30], "another size": mask(np.zeros((8, 11))),
    "colour": mask(np.zeros((8, 12, 3))), "grey values": mask(LABELS * 100), "ids": mask(LABELS + 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_a_bad_mask_among_good_ones(truth, kind):
    path = packed(truth / "valid.zip", {FRAMES[0]: mask(), FRAMES[1]: BAD_MASKS[kind]})
    folder = truth / "results"
    for frame, data in ((FRAMES[0], mask()), (FRAMES[1], BAD_MASKS[kind])):
        put(folder / "v" / "0" / f"{frame}.png", data)
    with tally("bad submissions: masks of odd kinds, missing or of another size") as tries:
        tries.refused(lambda: score(truth, path), str(path), "00005.png")
        tries.refused(lambda: score(truth, folder), str(folder), "00005.png")
        if kind in ("empty", "text", "another size", "colour"):
            tries.refused(lambda: write_submission(truth / "new.zip", folder, {"v": {"0": FRAMES}}), "00005.png")
        assert not (truth / "new.zip").exists()


def test_no_submissions(truth):
    path = truth / "valid.zip"
    with tally("bad submissions: another file in their place, or none") as tries:
        tries.refused(lambda: score(truth, path), str(path))
        for data in (b"", b"PK\x05\x06", b"text", mask()):
            path.write_bytes(data)
            tries.refused(lambda: score(truth, path), str(path))
        tries.refused(lambda: score(truth, packed(path, {})), str(path))
        tries.refused(lambda: score(truth, packed(path, {FRAMES[0]: mask()})), str(path), "00005.png")
        packed(path, dict.fromkeys(FRAMES, mask()))
        path.write_bytes(path.read_bytes().replace(b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x01\x00\x00\x00"))
        tries.refused(lambda: score(truth, path), str(path))  # locked with a password


def test_a_zip_that_unpacks_to_gigabytes(truth):
    """A member of 256 MB of zeros behind a good header."""
    path = truth / "valid.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"Annotations/v/0/{FRAMES[0]}.png", mask())
        with archive.open(f"Annotations/v/0/{FRAMES[1]}.png", "w") as member:
            member.write(mask())
            for _ in range(16):
                member.write(bytes(1 << 24))
    job = VideoJob("v", truth / "valid" / "Annotations" / "v", FRAMES, {"0": 1})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tally("decompression bombs: zips") as tries:
        tries.refused(lambda: score(truth, path), str(path), "00005.png")
        open_results.cache_clear()
        assert "unpacks to" in score_video(path, job).problems[0].text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
