"""The doctor of the sets with single annotated frames: A2D-Sentences and JHMDB-Sentences."""

import av
import h5py
import numpy as np
import pytest
import scipy.io
from test_check_data import HEIGHT, WIDTH, edit_json, found, known, rle, truncate, write_frame, write_json

from tools.data.check import check
from tools.data.doctor import a2d, jhmdb, samples, visit

# ---------------------------------------------------------------- A2D-Sentences


def write_video(path, length=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(length):
            image = noise.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def write_h5(path, ids=(0, 3), size=(WIDTH, HEIGHT), leave_out=()):
    """Masks as in the real files: transposed, and without the first axis where there is one instance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = np.ones((len(ids), *size), dtype=np.uint8)
    content = {"instance": np.array(ids), "reMask": masks[0] if len(ids) == 1 else masks}
    with h5py.File(path, "w") as file:
        for key in content.keys() - leave_out:
            file[key] = content[key]


H5 = "text_annotations/a2d_annotation_with_instances/vid/00002.h5"
MP4 = "Release/clips320H/vid.mp4"


@pytest.fixture
def a2d_set(tmp_path):
    """One test video of four frames; frame 2 holds instances 0 and 3, frame 4 instance 0."""
    rows = [["a bird", "vid", 2, 0], ["a man", "vid", 2, 3], ["a bird", "vid", 4, 0]]
    write_json(tmp_path / "a2d_sentences_single_frame_test_annotations.json", rows)
    ids = [f"v_{video}_f_{frame}_i_{instance}" for _, video, frame, instance in rows]
    write_json(
        tmp_path / a2d.GROUND_TRUTH,
        {
            "images": [{"id": key, "height": HEIGHT, "width": WIDTH} for key in ids],
            "annotations": [{"id": i, "image_id": key, "segmentation": rle()} for i, key in enumerate(ids)],
        },
    )
    write_video(tmp_path / MP4)
    write_h5(tmp_path / H5)
    write_h5((tmp_path / H5).with_name("00004.h5"), ids=(0,))
    return tmp_path


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_a2d_set_is_well(a2d_set, deep):
    report = check("a2d", a2d_set, deep=deep)
    assert report.ok, report.text()
    assert "train: not here, not checked" in report.facts


TEST_LIST = "a2d_sentences_single_frame_test_annotations.json"
A2D_FAULTS = {
    "missing video": (lambda root: (root / MP4).unlink(), a2d.NO_VIDEO, True),
    "no folder of videos": (lambda root: (root / "Release").rename(root / "x"), a2d.NO_VIDEO, True),
    "damaged video": (lambda root: (root / MP4).write_bytes(b"not a video" * 99), a2d.BAD_VIDEO, True),
    "short video": (lambda root: write_video(root / MP4, 3), a2d.SHORT_VIDEO, True),
    "missing h5": (lambda root: (root / H5).unlink(), a2d.NO_MASKS, True),
    "truncated h5": (lambda root: truncate(root / H5), a2d.BAD_H5, True),
    "h5 without reMask": (lambda root: write_h5(root / H5, leave_out={"reMask"}), a2d.NO_KEY, True),
    "h5 not transposed": (lambda root: write_h5(root / H5, size=(HEIGHT, WIDTH)), a2d.BAD_SHAPE, True),
    "h5 without the instance": (lambda root: write_h5(root / H5, ids=(0, 1)), a2d.NO_INSTANCE, True),
    "malformed sample": (lambda root: edit_json(root / TEST_LIST, lambda rows: rows.append(["a", "../b", 1, 0])),
                         samples.BAD_ROW, True),
    "sample without truth": (lambda root: edit_json(root / TEST_LIST, lambda rows: rows.append(["a", "vid", 2, 7])),
                                    samples.NO_GROUND_TRUTH, True),
    "no ground truth": (lambda root: (root / a2d.GROUND_TRUTH).unlink(), samples.NO_FILE, True),
    "malformed ground truth": (lambda root: edit_json(root / a2d.GROUND_TRUTH, lambda gt: gt.pop("images")),
                               visit.UNREADABLE, True),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "quick"), A2D_FAULTS.values(), ids=A2D_FAULTS.keys())
def test_each_fault_of_an_a2d_set_is_found(a2d_set, spoil, kind, quick):
    spoil(a2d_set)
    assert found("a2d", a2d_set, deep=True)[kind] == 1
    assert (kind in found("a2d", a2d_set, deep=False)) == quick


# ---------------------------------------------------------------- JHMDB-Sentences

CLIP = "Rename_Images/run/clip"
MAT = "puppet_mask/run/clip/puppet_mask.mat"


def write_mat(path, shape=(HEIGHT, WIDTH, 3), key="part_mask"):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {key: np.ones(shape, dtype=np.uint8)})


@pytest.fixture
def jhmdb_set(tmp_path):
    """One video of three frames; the second is evaluated. The folder is not named as the list's paths begin."""
    row = ["clip", f"./jhmdb_sentences/{CLIP}/00002.png", f"./jhmdb_sentences/{MAT}", 3, "a man"]
    write_json(tmp_path / jhmdb.SAMPLES, [row])
    write_json(
        tmp_path / jhmdb.GROUND_TRUTH,
        {
            "images": [{"id": "v_clip_f_2", "height": HEIGHT, "width": WIDTH}],
            "annotations": [{"id": 1, "image_id": "v_clip_f_2", "segmentation": rle()}],
        },
    )
    for frame in (1, 2, 3):
        write_frame(tmp_path / CLIP / f"{frame:05d}.png")
    write_mat(tmp_path / MAT)
    return tmp_path


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_jhmdb_set_is_well(jhmdb_set, deep):
    report = check("jhmdb", jhmdb_set, deep=deep)
    assert report.ok, report.text()
    assert not known(report)


JHMDB_FAULTS = {
    "missing mat": (lambda root: (root / MAT).unlink(), jhmdb.NO_MAT, True),
    "no folder of mats": (lambda root: (root / "puppet_mask").rename(root / "x"), jhmdb.NO_MAT, True),
    "damaged mat": (lambda root: (root / MAT).write_bytes(b"x" * 300), jhmdb.BAD_MAT, True),
    "truncated mat": (lambda root: truncate(root / MAT), jhmdb.BAD_MAT, True),
    "mat without part_mask": (lambda root: write_mat(root / MAT, key="mask"), jhmdb.NO_PART_MASK, True),
    "flat part_mask": (lambda root: write_mat(root / MAT, (HEIGHT, WIDTH)), jhmdb.NO_PART_MASK, True),
    "transposed part_mask": (lambda root: write_mat(root / MAT, (WIDTH, HEIGHT, 3)), jhmdb.MAT_SIZE, True),
    "short part_mask": (lambda root: write_mat(root / MAT, (HEIGHT, WIDTH, 1)), jhmdb.SHORT_MAT, True),
    "missing frame": (lambda root: (root / CLIP / "00003.png").unlink(), jhmdb.NO_FRAME, True),
    "truncated frame": (lambda root: truncate(root / CLIP / "00003.png"), jhmdb.BROKEN_FRAME, False),
    "no frames": (lambda root: (root / CLIP).rename(root / "x"), jhmdb.NO_FRAMES, True),
    "no ground truth": (lambda root: (root / jhmdb.GROUND_TRUTH).unlink(), samples.NO_FILE, True),
    "malformed sample": (lambda root: edit_json(root / jhmdb.SAMPLES, lambda rows: rows.append([1])),
                         samples.BAD_ROW, True),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "quick"), JHMDB_FAULTS.values(), ids=JHMDB_FAULTS.keys())
def test_each_fault_of_a_jhmdb_set_is_found(jhmdb_set, spoil, kind, quick):
    spoil(jhmdb_set)
    assert found("jhmdb", jhmdb_set, deep=True)[kind] == 1
    assert (kind in found("jhmdb", jhmdb_set, deep=False)) == quick
