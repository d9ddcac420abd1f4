"""JHMDB-Sentences: files in the real format, written here, and the real sample list where it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from datasets.jhmdb import SAMPLES, JHMDBDataset
from datasets.transforms import EvalTransform
from util.errors import InputError

REAL = Path(__file__).parents[2] / "shared" / "data" / "jhmdb_sentences"
HEIGHT, WIDTH, LENGTH = 24, 32, 8
VIDEO = "100_pullups_pullup_f_nm_np1_fr_med_1"
IMAGES = f"./jhmdb_sentences/Rename_Images/pullup/{VIDEO}"
MASK = f"./jhmdb_sentences/puppet_mask/pullup/{VIDEO}/puppet_mask.mat"


def masks():
    """[H, W, T] as MATLAB stores them; frame t's object is t + 1 rows high."""
    return (np.arange(HEIGHT)[:, None, None] <= np.arange(LENGTH)).repeat(WIDTH, axis=1).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path / "another name")


def write_set(root):
    """One video and its mask; frames 1, 4 and 8 are chosen."""
    folder = root / IMAGES.removeprefix("./jhmdb_sentences/")
    folder.mkdir(parents=True)
    for frame in range(1, LENGTH + 1):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), frame, np.uint8)).save(folder / f"{frame:05d}.png")
    mat = root / MASK.removeprefix("./jhmdb_sentences/")
    mat.parent.mkdir(parents=True)
    savemat(mat, {"part_mask": masks(), "other": np.zeros(3)})
    write_list(root, [[VIDEO, f"{IMAGES}/{frame:05d}.png", MASK, LENGTH, "Man in BLACK"] for frame in (1, 4, 8)])
    return root


def write_list(root, samples):
    (root / SAMPLES).write_text(json.dumps(samples))


def mat_file(root):
    return next(root.rglob("puppet_mask.mat"))


def test_windows_masks_and_names(root):
    dataset = JHMDBDataset(root, 5, EvalTransform())
    clips = [dataset.read(i, np.random.default_rng(0)) for i in range(len(dataset))]
    shown = [[int(frame[0, 0, 0]) for frame in clip.frames] for clip in clips]
    assert shown == [[1, 1, 1, 2, 3], [2, 3, 4, 5, 6], [6, 7, 8, 8, 8]]
    for clip, frame in zip(clips, (1, 4, 8), strict=True):
        assert clip.annotated == 2
        assert clip.masks.shape == (1, HEIGHT, WIDTH)
        assert clip.masks.dtype == bool
        assert clip.masks[0].any(1).sum() == frame
        assert not clip.reference[0].any()
        assert (clip.image_id, clip.caption, clip.label) == (f"v_{VIDEO}_f_{frame}", "man in black", 0)


def test_samples_and_the_stream(root):
    dataset = JHMDBDataset(root, 6, EvalTransform())
    sample = dataset[3, 1]
    assert sample.frames.shape[0] == 6
    assert sample.annotated == 3
    assert sample.reference.shape == (1, *sample.frames.shape[1:])
    files = dataset.frame_files(1)
    assert len(files) == LENGTH
    assert all(file.is_file() for file in files)
    savemat(mat_file(root), {"part_mask": masks() * 0})
    assert dataset[0, 1].image_id == f"v_{VIDEO}_f_4"  # an empty one counts too


def test_one_frame_that_matlab_stores_without_its_axis(root):
    savemat(mat_file(root), {"part_mask": masks()[..., 2]})
    clip = JHMDBDataset(root, 5, EvalTransform()).read(0, np.random.default_rng(0))
    assert clip.masks[0].any(1).sum() == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n", "7.3"),
        (b"", "part_mask"),
        (b"nonsense" * 40, "part_mask"),
        ({"mask": masks()}, "part_mask"),
        ({"part_mask": masks()[..., :3]}, "frame 4"),
        ({"part_mask": masks()[:-1]}, "size of the frames"),
        (None, "no such file"),
    ],
)
def test_damaged_masks_are_named(root, content, message):
    path = mat_file(root)
    path.unlink()
    if isinstance(content, dict):
        savemat(path, content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"puppet_mask.mat.*{message}"):
        JHMDBDataset(root, 5, EvalTransform())[0, 1]


def test_a_missing_frame_is_named(root):
    next(root.rglob("00005.png")).unlink()
    dataset = JHMDBDataset(root, 5, EvalTransform())
    with pytest.raises(InputError, match=r"00005\.png"):
        dataset[0, 1]


GOOD = [VIDEO, f"{IMAGES}/00001.png", MASK, LENGTH, "text"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, f"{IMAGES}/00009.png"),
        (1, f"{IMAGES}/first.png"),
        (1, "./jhmdb_sentences/../../etc/00001.png"),
        (2, "puppet_mask.mat"),
        (3, "8"),
        (4, " "),
    ],
)
def test_malformed_samples_are_refused(root, place, value):
    write_list(root, [GOOD, [*GOOD[:place], value, *GOOD[place + 1 :]]])
    with pytest.raises(InputError, match=f"{SAMPLES}: sample 1"):
        JHMDBDataset(root, 5, EvalTransform())


@pytest.mark.skipif(not REAL.exists(), reason=f"the real list is not at {REAL}")
def test_the_real_list():
    dataset = JHMDBDataset(REAL, 5, EvalTransform())
    assert len(dataset) == 2784
    assert len({s.video for s in dataset.sentences}) == 928
    assert dataset.sentences[0].frame == 2
    assert dataset.frame_files(0)[1] == REAL / "Rename_Images" / "pullup" / VIDEO / "00002.png"
    assert len({(s.video, s.frame) for s in dataset.sentences}) == 2784
