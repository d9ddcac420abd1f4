"""Disk full, read-only, or files that vanish and change meanwhile: one clear line, and the same command goes on."""

import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
from test_inference_davis import davis  # noqa: F401  (a fixture)

from datasets.ytvos import YouTubeVOSDataset
from models.propagation import Propagator
from tests.faults.conftest import slow
from tests.faults.counts import record
from tests.faults.programs import differing, files_in, start

KIB = 1 << 10


@pytest.fixture
def disk(output):
    """disk(room, *options): `output` is a disk of its own with `room` bytes; asked again, the same disk changes."""

    def mount(room, *options):
        again = ["remount"] if output.is_mount() else []
        output.mkdir(exist_ok=True)
        wish = ",".join([*again, f"size={room}", *options])
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", wish, "none", output], capture_output=True)
        if done.returncode:
            pytest.skip("a small disk can be mounted by root alone")

    yield mount
    if output.is_mount():
        subprocess.run(["umount", "-l", output], check=True)


def refused(running, *words):
    """Exit code 2, and one line that says all of `words`."""
    assert running.codes() == [2], running.said
    assert "Traceback" not in running.said and "ignored" not in running.said, running.said
    (line,) = running.errors
    for word in words:
        assert str(word) in line, line


def full_and_freed(program, flags, room, disk, output, said):
    """The files after a run on a full disk, which says so, and the same command with room."""
    disk(room)
    refused(start(program, flags, said), "cannot write", "No space left", "free some space")
    disk(256 * KIB * KIB)
    start(program, flags, said).finished()
    return files_in(output)


@pytest.mark.parametrize("room", [slow(4 * KIB), 12 * KIB, slow(700 * KIB), 3500 * KIB])
def test_a_full_disk_in_training(room, training, undisturbed, disk, output, tmp_path):
    """Full at the log, at the board, at the first checkpoint, at a later one."""
    whole, _ = undisturbed("main", training)
    assert differing(full_and_freed("main", training, room, disk, output, tmp_path / "said"), whole) == []
    record("disk full in training", 1, 1, "error: cannot write …: No space left on device; free some space there …")


@pytest.mark.parametrize("room", [slow(4 * KIB), 12 * KIB, slow(28 * KIB), 68 * KIB])
def test_a_full_disk_in_inference(room, segmenting, undisturbed, disk, output, tmp_path):
    """Full at a first mask, at later ones, at the zip."""
    whole, _ = undisturbed("inference_ytvos", segmenting)
    assert differing(full_and_freed("inference_ytvos", segmenting, room, disk, output, tmp_path / "said"), whole) == []
    record("disk full in inference", 1, 1, "error: cannot write …: No space left on device; free some space there …")


def test_a_full_disk_under_mapped_files(davis, inference_flags, disk, output, tmp_path):  # noqa: F811
    """Ref-DAVIS17 keeps probabilities in mapped files: writing to one that has no room kills a process outright."""
    flags = (*inference_flags, "--davis_path", davis, "--output_dir", output)
    full_and_freed("inference_davis", flags, 8 * KIB, disk, output, tmp_path / "said")
    assert len(list(output.rglob("*.png"))) == 4 * 2 * 3
    record("disk full in inference", 1, 1, "error: cannot write …: No space left on device; free some space there …")


@pytest.mark.parametrize("program", ["main", "inference_ytvos"])
def test_a_place_that_cannot_be_written(program, request, disk, tmp_path):
    flags = request.getfixturevalue("training" if program == "main" else "segmenting")
    disk(KIB * KIB)
    disk(KIB * KIB, "ro")
    refused(start(program, flags, tmp_path / "said"), "Read-only file system", "make it writable")
    record("output that is read-only", 1, 1, "error: cannot write …: Read-only file system; make it writable …")


# ---- files that vanish or change while a program reads them


def vanish(file):
    file.unlink()


def cut(file):
    file.write_bytes(file.read_bytes()[:900])


def harmed_at(harm, owner, name, file, place):
    """In a program's process: the `place`-th call of a method finds `file` harmed."""
    calls, method = [], getattr(owner, name)

    def harming(*args, **options):
        calls.append(1)
        if len(calls) == place:
            harm(file)
        return method(*args, **options)

    setattr(owner, name, harming)


@pytest.mark.parametrize("harm", [vanish, slow(cut)])
def test_a_frame_is_harmed_while_training(harm, training, undisturbed, output, tmp_path):
    training = (*training, "--num_workers", "1")
    whole, _ = undisturbed("main", training)
    frames = tmp_path / "data" / "train" / "JPEGImages"
    shutil.copytree(frames, tmp_path / "copy")
    before = partial(harmed_at, partial(harm_all, harm, frames), YouTubeVOSDataset, "read", None, 4)
    refused(start("main", training, tmp_path / "said", before=before), "100 samples in a row are unusable", ".jpg")
    shutil.copytree(tmp_path / "copy", frames, dirs_exist_ok=True)
    start("main", training, tmp_path / "said").finished()
    assert differing(files_in(output), whole) == []
    record("frames vanish or change in training", 1, 1, "error: 100 samples in a row are unusable; last: …")


def harm_all(harm, folder, _):
    """Each of the images below a folder."""
    for file in Path(folder).rglob("*.jpg"):
        harm(file)


@pytest.mark.parametrize("harm", [vanish, cut])
def test_a_frame_is_harmed_while_segmenting(harm, segmenting, ytvos, undisturbed, output, tmp_path):
    whole, _ = undisturbed("inference_ytvos", segmenting)
    frame = ytvos / "valid" / "JPEGImages" / "street" / "00015.jpg"
    content = frame.read_bytes()
    before = partial(harmed_at, harm, Propagator, "start", frame, 1)
    refused(start("inference_ytvos", segmenting, tmp_path / "said", before=before), frame)
    assert any(output.rglob("beach/0/*.png")) and not any(output.rglob("street/*"))
    frame.write_bytes(content)
    start("inference_ytvos", segmenting, tmp_path / "said").finished()
    assert differing(files_in(output), whole) == []
    record("a frame vanishes or changes in inference", 1, 1, "error: …/00015.jpg: …; the other videos are finished")


def test_the_output_is_taken_away(segmenting, undisturbed, output, tmp_path):
    """What was written is lost with it; what is written later is whole, and the rest is asked for."""
    whole, _ = undisturbed("inference_ytvos", segmenting)
    before = partial(harmed_at, shutil.rmtree, Propagator, "start", output / "valid", 2)
    refused(start("inference_ytvos", segmenting, tmp_path / "said", before=before), output / "valid")
    start("inference_ytvos", segmenting, tmp_path / "said").finished()
    assert differing(files_in(output), whole) == []
    record("the output folder vanishes in inference", 1, 1, "error: …: masks are missing …; run the inference again …")
