"""A2D-Sentences: files in the real format, written here, and the real sentence lists where they are."""

import json
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from datasets.a2d import A2DDataset, annotated_frames, evaluation_window, index_video, read_frames, read_mask
from datasets.transforms import EvalTransform, TrainTransform, video_range
from util.errors import InputError

REAL = Path(__file__).parents[2] / "shared" / "data" / "a2d_sentences"
HEIGHT, WIDTH, LENGTH = 48, 96, 30
VIDEO = "--h5fAKYurM"


def write_video(path, length=LENGTH, codec="libx264", faststart=False, **options):
    """A video whose frames show their number in binary, as eight dark or bright bars."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size, stream.max_b_frames, stream.options = 8, 2, options
        for number in range(length):
            bars = np.where(number >> np.arange(8) & 1, 210, 40).astype(np.uint8).repeat(WIDTH // 8)
            image = np.broadcast_to(bars[None, :, None], (HEIGHT, WIDTH, 3)).copy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def number_of(image, row=HEIGHT // 2):
    bars = image[row, WIDTH // 16 :: WIDTH // 8, 0] > 125
    return int((bars << np.arange(8)).sum())


def write_annotation(root, frame, masks):
    """instance id → mask [H, W], stored as A2D does: transposed, one instance without an axis of its own."""
    path = root / "text_annotations" / "a2d_annotation_with_instances" / VIDEO / f"{frame:05d}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.stack([mask.T for mask in masks.values()]).astype(np.uint8)
    with h5py.File(path, "w") as file:
        file["instance"] = np.array(list(masks), np.int64)
        file["reMask"] = stored if len(masks) > 1 else stored[0]
    return path


def rows(first, last):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[first:last] = True
    return mask


@pytest.fixture
def root(tmp_path):
    """Frames 4 and 20 hold instances 0 and 3, frame 12 holds 3 alone, frame 30 holds 5."""
    annotated_frames.cache_clear()
    index_video.cache_clear()
    write_video(tmp_path / "Release" / "clips320H" / f"{VIDEO}.mp4")
    write_annotation(tmp_path, 4, {0: rows(0, 10), 3: rows(20, 30)})
    write_annotation(tmp_path, 12, {3: rows(22, 32)})
    write_annotation(tmp_path, 20, {3: rows(24, 34), 0: rows(4, 14)})
    write_annotation(tmp_path, 30, {5: rows(10, 40)})
    samples = [["The  Man in RED", VIDEO, 12, 3], ["a dog", VIDEO, 4, 0], ["a cat", VIDEO, 30, 5], ["x", VIDEO, 20, 3]]
    for image_set in ("train", "test"):
        write_list(tmp_path, image_set, samples)
    return tmp_path


def write_list(root, image_set, samples):
    (root / f"a2d_sentences_single_frame_{image_set}_annotations.json").write_text(json.dumps(samples))


def read(root, image_set, index, num_frames=5, seed=0):
    dataset = A2DDataset(root, image_set, num_frames, EvalTransform())
    return dataset.read(index, np.random.default_rng(seed))


def test_training_clip_and_its_reference(root):
    video = root / "Release" / "clips320H" / f"{VIDEO}.mp4"
    for seed in range(5):
        clip = read(root, "train", 0, seed=seed)
        assert len(clip.frames) == 5
        numbers = [number_of(frame) for frame in clip.frames]
        assert numbers == sorted(numbers)
        assert numbers[clip.annotated] == 11
        # Frames 4 and 20 are equally far: the earlier.
        expected = read_frames(video, [3])[0] * rows(20, 30)[..., None]
        assert np.array_equal(clip.reference[0], expected)
    assert np.array_equal(clip.masks, rows(22, 32)[None])
    assert clip.caption == "the man in red"
    assert (clip.label, clip.image_id) == (0, f"v_{VIDEO}_f_12_i_3")
    assert VIDEO in clip.name


def test_reference_is_the_nearest_frame_that_holds_the_instance(root):
    clip = read(root, "train", 1)
    assert number_of(clip.reference[0], row=5) == 19  # not 12, which holds instance 3 alone
    assert not clip.reference[0][14:].any()


def test_without_another_annotated_frame_the_frame_itself_moves(root):
    first, second = (read(root, "train", 2, seed=seed).reference[0] for seed in (1, 2))
    assert first.any()
    assert (first == 0).mean() > 0.2
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("index", "expected"), [(0, [9, 10, 11, 12, 13]), (1, [1, 2, 3, 4, 5]), (2, [27, 28, 29, 29, 29])]
)
def test_evaluation_window(root, index, expected):
    clip = read(root, "test", index)
    assert [number_of(frame) for frame in clip.frames] == expected
    assert clip.annotated == 2
    assert not clip.reference[0].any()
    assert clip.reference[0].shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("length", "centre", "frames", "window"),
    [(9, 4, 6, [1, 2, 3, 4, 5, 6]), (9, 0, 5, [0, 0, 0, 1, 2]), (2, 1, 5, [0, 0, 1, 1, 1]), (1, 0, 1, [0])],
)
def test_window_is_clamped_and_keeps_its_length(length, centre, frames, window):
    positions, place = evaluation_window(length, centre, frames)
    assert positions == window
    assert positions[place] == centre


def test_both_splits_as_samples(root):
    train = A2DDataset(root, "train", 3, TrainTransform(video_range()), seed=1)
    sample = train[0, 0]
    assert sample.frames.shape[0] == 3
    assert sample.reference.shape == (1, *sample.frames.shape[1:])
    assert sample.target.valid.tolist() == [True]
    again = train[0, 0]
    assert again.annotated == sample.annotated
    assert (again.frames == sample.frames).all()
    test = A2DDataset(root, "test", 3, EvalTransform())
    assert [test[0, i].image_id for i in range(4)] == [
        f"v_{VIDEO}_f_{f}_i_{i}" for f, i in ((12, 3), (4, 0), (30, 5), (20, 3))
    ]


def test_an_empty_or_broken_sample_counts_at_test_and_is_replaced_in_training(root):
    write_annotation(root, 12, {3: rows(0, 0)})
    write_annotation(root, 30, {5: rows(0, 5)}).write_bytes(b"broken")
    test = A2DDataset(root, "test", 3, EvalTransform())
    assert test[0, 0].image_id == f"v_{VIDEO}_f_12_i_3"
    with pytest.raises(InputError, match=r"00030\.h5"):
        test[0, 2]
    annotated_frames.cache_clear()
    (root / "text_annotations" / "a2d_annotation_with_instances" / VIDEO / "00030.h5").unlink()
    train = A2DDataset(root, "train", 3, EvalTransform())
    stand_in = train[0, 2]
    assert stand_in.target.valid.any()
    assert any("00030.h5" in problem for problem in stand_in.problems)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_are_found_by_number_in_any_order(tmp_path, codec):
    path = write_video(tmp_path / "v.mp4", codec=codec)
    assert len(index_video(path).times) == LENGTH
    assert len(index_video(path).keys) > 2
    for positions in ([29], [0], [27, 28, 29], [15, 3, 3, 28], [7, 8, 9, 23], list(range(LENGTH))):
        assert [number_of(image) for image in read_frames(path, positions)] == positions


def test_open_gop(tmp_path):
    path = write_video(tmp_path / "v.mp4", **{"x264-params": "open-gop=1:keyint=8:bframes=3:b-adapt=0:scenecut=0"})
    assert [number_of(image) for image in (read_frames(path, [i])[0] for i in range(LENGTH))] == [*range(LENGTH)]


def test_damaged_videos_are_named(root, tmp_path):
    whole = write_video(tmp_path / "whole.mp4", faststart=True).read_bytes()
    cut, text = tmp_path / "cut.mp4", tmp_path / "text.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    text.write_text("no video" * 50)
    for path in (cut, text, tmp_path / "missing.mp4"):
        with pytest.raises(InputError, match=path.name):
            read_frames(path, [LENGTH - 1])
    write_list(root, "test", [["late", VIDEO, LENGTH + 1, 0]])
    with pytest.raises(InputError, match="30 frames, but frame 31"):
        read(root, "test", 0)


def test_damaged_annotations_are_named(root):
    path = write_annotation(root, 12, {3: rows(0, 9)})
    with pytest.raises(InputError, match=r"00012\.h5: no instance 4"):
        read_mask(path, 4)
    with h5py.File(path, "a") as file:
        file["instance"][...] = 4
        del file["reMask"]
        file["reMask"] = np.zeros((2, WIDTH, HEIGHT), np.uint8)
    with pytest.raises(InputError, match=r"00012\.h5"):
        read_mask(path, 4)
    with h5py.File(path, "a") as file:
        del file["reMask"]
    with pytest.raises(InputError, match=r"00012\.h5"):
        read_mask(path, 4)
    write_annotation(root, 12, {3: np.ones((HEIGHT, WIDTH + 2), bool)})
    with pytest.raises(InputError, match="frames have"):
        read(root, "test", 0)


@pytest.mark.parametrize(
    "samples",
    [
        "{",
        {},
        [],
        [["a", VIDEO, 12]],
        [["a", "../v", 12, 0]],
        [["a", VIDEO, 0, 0]],
        [[" ", VIDEO, 1, 0]],
        [["a", VIDEO, True, 0]],
    ],
)
def test_malformed_lists_are_refused(root, samples):
    write_list(root, "test", samples)
    if isinstance(samples, str):
        (root / "a2d_sentences_single_frame_test_annotations.json").write_text(samples)
    with pytest.raises(InputError, match="single_frame_test"):
        A2DDataset(root, "test", 5, EvalTransform())


@pytest.mark.skipif(not REAL.exists(), reason=f"the real lists are not at {REAL}")
def test_the_real_lists():
    train, test = (A2DDataset(REAL, image_set, 5, EvalTransform()) for image_set in ("train", "test"))
    assert (len(train), len(test)) == (15362, 3686)
    assert train.sentences[0][1:] == (VIDEO, 30, 0)
    assert train.video_file(0) == REAL / "Release" / "clips320H" / f"{VIDEO}.mp4"
    truth = json.loads((REAL / "a2d_sentences_test_annotations_in_coco_format.json").read_text())
    ids = {f"v_{s.video}_f_{s.frame}_i_{s.instance}" for s in test.sentences}
    assert ids < {image["id"] for image in truth["images"]}
