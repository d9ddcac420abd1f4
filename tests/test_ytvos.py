"""The reader of Ref-YouTube-VOS: small files in its real format, and the real clips where they are."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from datasets import davis, ytvos
from datasets.clip_index import ClipIndex
from datasets.davis import DavisDataset
from datasets.expressions import Expression, VideoEntry
from datasets.transforms import EvalTransform, TrainTransform, video_range
from datasets.workers import one_thread
from datasets.ytvos import YouTubeVOSDataset
from tools.bench.plain_loader import PlainLoader
from tools.data.convert_davis_to_ytvos import convert
from util.errors import InputError
from util.mask_io import read_image, read_label_map, write_label_map

SHARED = Path(__file__).parents[2] / "shared" / "data"
REAL, REF_DAVIS = SHARED / "davis16-train", SHARED / "ref-davis"
FRAMES = [f"{5 * number:05d}" for number in range(7)]


def write_video(root, name, objects):
    """Seven frames 64×48; the object of id k covers columns 8·k … 8·k + 6 and moves down with time."""
    for number, frame in enumerate(FRAMES):
        pixels = np.random.default_rng(number).integers(30, 255, (48, 64, 3), dtype=np.uint8)
        labels = np.zeros((48, 64), np.uint8)
        for object_id in objects:
            labels[number : 12 + number, 8 * object_id : 8 * object_id + 7] = object_id
        image = root / "train" / "JPEGImages" / name / f"{frame}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(image, quality=95)
        write_label_map(root / "train" / "Annotations" / name / f"{frame}.png", labels)


def write_json(root, part, videos):
    file = root / part
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"videos": videos}))


def lists(root, **expressions):
    """Both lists; expressions: video → {id: (text, object)}."""
    meta = {
        video: {"objects": {obj: {"category": f"kind{obj}", "frames": FRAMES} for _, obj in of_video.values()}}
        for video, of_video in expressions.items()
    }
    entries = {
        video: {
            "expressions": {key: {"exp": text, "obj_id": obj} for key, (text, obj) in of_video.items()},
            "frames": FRAMES[::-1],
        }
        for video, of_video in expressions.items()
    }
    write_json(root, "train/meta.json", meta)
    write_json(root, "meta_expressions/train/meta_expressions.json", entries)


@pytest.fixture
def root(tmp_path):
    write_video(tmp_path, "va", (1, 2))
    write_video(tmp_path, "vb", (3,))
    lists(tmp_path, va={"0": ("A  dog", "1"), "1": ("the LEFT cat", "2")}, vb={"0": ("a bird", "3")})
    return tmp_path


def dataset_of(root, num_frames=3, transform=None, **options):
    return YouTubeVOSDataset(root, num_frames, transform or TrainTransform(video_range(96)), **options)


def test_a_clip_is_what_the_files_say(root):
    dataset = dataset_of(root, classes=("kind3", "kind2", "kind1"))
    assert len(dataset) == 3 * 3  # starts 0, 3, 6 of three expressions
    raw = dataset.read(4, np.random.default_rng(0))
    assert (raw.caption, raw.label, raw.annotated) == ("the left cat", 1, None)
    shown = re.fullmatch("ytvos va, expression 1, frames (.*)", raw.name)[1].split(", ")
    positions = [FRAMES.index(frame) for frame in shown]
    assert len(positions) == 3 and 3 in positions and positions == sorted(positions)
    folder = root / "train"
    for position, image, reference, mask in zip(positions, raw.frames, raw.reference, raw.masks, strict=True):
        # 0 ↔ 1, 2 ↔ 3, 4 ↔ 5; the last, 6, takes the one before it
        other = FRAMES[{0: 1, 1: 0, 2: 3, 3: 2, 4: 5, 5: 4, 6: 5}[position]]
        assert np.array_equal(image, read_image(folder / "JPEGImages" / "va" / f"{FRAMES[position]}.jpg"))
        assert np.array_equal(mask, read_label_map(folder / "Annotations" / "va" / f"{FRAMES[position]}.png") == 2)
        its_mask = read_label_map(folder / "Annotations" / "va" / f"{other}.png") == 2
        its_image = read_image(folder / "JPEGImages" / "va" / f"{other}.jpg")
        assert np.array_equal(reference, its_image * its_mask[..., None])


def test_one_class_needs_no_categories(root):
    (root / "train" / "meta.json").unlink()
    assert {dataset_of(root).read(index, np.random.default_rng(0)).label for index in range(9)} == {0}


def same(one, other):
    tensors = zip(
        (one.frames, one.reference, *vars(one.target).values()),
        (other.frames, other.reference, *vars(other.target).values()),
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in tensors) and (one.caption, one.name) == (other.caption, other.name)


def first(samples):
    return samples[0]


def test_a_sample_depends_on_epoch_and_index_alone(root):
    dataset = dataset_of(root, seed=5)
    keys = [(epoch, index) for epoch in (0, 1) for index in range(len(dataset))]
    here = {key: dataset[key] for key in keys}
    loader = DataLoader(
        pickle.loads(pickle.dumps(dataset)),
        batch_size=1,
        sampler=keys[::-1],
        num_workers=2,
        collate_fn=first,
        worker_init_fn=one_thread,
    )
    for key, sample in zip(keys[::-1], loader, strict=True):
        assert same(sample, here[key]), key
    assert not all(same(here[0, index], here[1, index]) for index in range(len(dataset)))
    assert not all(same(here[0, index], dataset_of(root, seed=6)[0, index]) for index in range(len(dataset)))


def test_a_clip_without_its_object_is_replaced(root):
    lists(root, va={"0": ("a dog", "1")}, vb={"0": ("a dog", "9"), "1": ("a bird", "3")})
    samples = [dataset_of(root)[0, index] for index in range(9)]
    assert all(sample.target.valid.any() and not sample.problems for sample in samples)
    assert not any("vb, expression 0" in sample.name for sample in samples)
    lists(root, va={"0": ("a dog", "9")})
    with pytest.raises(InputError, match="object is in none"):
        dataset_of(root)[0, 0]


def cut_image(root):
    file = root / "train" / "JPEGImages" / "vb" / "00015.jpg"
    file.write_bytes(file.read_bytes()[:900])
    return file


def lost_mask(root):
    file = root / "train" / "Annotations" / "vb" / "00015.png"
    file.unlink()
    return file


def small_mask(root):
    file = root / "train" / "Annotations" / "vb" / "00015.png"
    write_label_map(file, np.ones((47, 64), np.uint8))
    return file


def wide_image(root):
    file = root / "train" / "JPEGImages" / "vb" / "00015.jpg"
    Image.new("RGB", (80, 48)).save(file)
    return file


@pytest.mark.parametrize("harm", [cut_image, lost_mask, small_mask, wide_image])
def test_a_broken_file_is_named_and_its_clip_replaced(root, harm):
    file = harm(root)
    dataset = dataset_of(root)
    with pytest.raises(InputError, match=re.escape(str(file)) if harm is not wide_image else "vb"):
        dataset.read(7, np.random.default_rng(0))  # starts at 00015
    sample = dataset[0, 7]
    assert sample.target.valid.any() and "vb" in sample.problems[0]


def test_unusable_lists_are_refused(root):
    with pytest.raises(InputError, match=r"kind1.*none of the 1 classes"):
        dataset_of(root, classes=("kind3",))
    write_json(root, "train/meta.json", {"va": {"objects": {}}})
    with pytest.raises(InputError, match=r"meta\.json.*'va', object '1'.*no category"):
        dataset_of(root, classes=("kind3",))
    lists(root, va={"0": ("a dog", None)})
    with pytest.raises(InputError, match='no "obj_id"'):
        dataset_of(root)
    lists(root, va={})
    with pytest.raises(InputError, match="no expression"):
        dataset_of(root)


def test_memory_at_the_real_size():
    """3,471 videos of 27 frames, 12,900 expressions of 50 letters, T = 5."""
    frames = tuple(f"{5 * number:05d}" for number in range(27))
    videos = [
        VideoEntry(
            name := f"{number:010x}",
            frames,
            tuple(Expression(name, str(e), "x" * 50, "1") for e in range(4 if number < 2487 else 3)),
        )
        for number in range(3471)
    ]
    index = ClipIndex.build(videos, 5, lambda expression: 0)
    assert len(index.captions) == 12_900 and len(index) == 77_400
    assert index.nbytes < 2.9e6
    assert (index.frame(3470, 26), index.videos[3470]) == ("00130", "0000000d8e")


def test_clips_start_in_the_frames_that_tell(root):
    file = root / "meta_expressions" / "train" / "meta_expressions.json"
    content = json.loads(file.read_text())
    content["videos"]["va"]["expressions"]["0"]["told"] = [FRAMES[5], FRAMES[2]]
    content["videos"]["va"]["expressions"]["1"]["told"] = []
    file.write_text(json.dumps(content))
    dataset = dataset_of(root, num_frames=1, told_frames=True)
    assert len(dataset_of(root, num_frames=1)) == 3 * 7 and len(dataset) == 2 + 0 + 7
    names = [dataset.read(index, np.random.default_rng(0)).name for index in range(2)]
    assert names == [f"ytvos va, expression 0, frames {FRAMES[k]}" for k in (2, 5)]
    assert len(dataset_of(root, num_frames=2, told_frames=True)) == 1 + 0 + 4


def test_categories_are_in_class_order():
    assert (len(ytvos.CATEGORIES), len(davis.CATEGORIES)) == (65, 78)
    file = SHARED / "categories.json"
    if not file.exists():
        pytest.skip(f"the categories to compare with are not at {file}")
    lists_of = json.loads(file.read_text())
    assert list(ytvos.CATEGORIES) == lists_of["ref-youtube-vos"] and list(davis.CATEGORIES) == lists_of["ref-davis"]


@pytest.mark.skipif(not REAL.exists(), reason=f"the real clips are not at {REAL}")
def test_real_clips():
    dataset = YouTubeVOSDataset(REAL, 5, TrainTransform(video_range()))
    assert len(dataset) == 645
    for index in (0, 100, 644):
        sample = dataset[0, index]
        assert sample.frames.shape == sample.reference.shape and len(sample.frames) == 5
        assert sample.original_size == (288, 512) and sample.target.valid.any()
    frames, references, masks, boxes, _ = PlainLoader(dataset)[0, 3]
    assert frames.shape == references.shape and masks.shape[1:] == frames.shape[2:] and boxes.shape == (5, 4)


@pytest.mark.skipif(not REF_DAVIS.exists(), reason=f"Ref-DAVIS17 is not at {REF_DAVIS}")
def test_ref_davis_through_the_converter(tmp_path):
    convert(REF_DAVIS, tmp_path)
    dataset = DavisDataset(tmp_path, 3, EvalTransform(), split="valid")
    sample = dataset[0, 0]
    assert sample.name.startswith("davis blackswan, expression 0")
    assert sample.frames.shape == (3, 3, 360, 640) and sample.target.valid.all()
