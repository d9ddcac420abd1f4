"""RefCOCO/+/g in the converter's format, alone, together, and joined with Ref-YouTube-VOS; and the data set factory."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from datasets import build_dataset
from datasets.joint import ConcatClips
from datasets.packed_strings import PackedStrings
from datasets.refexp import RefExpDataset, read_index
from datasets.transforms import REFCOCO_RANGE, EvalTransform, TrainTransform
from opts import parse_settings
from util.errors import InputError
from util.mask_io import write_label_map

HEIGHT, WIDTH = 60, 80
SQUARE = [20.0, 10.0, 60.0, 10.0, 60.0, 40.0, 20.0, 40.0]
SMALL = [2.0, 2.0, 8.0, 2.0, 8.0, 8.0]


def entries(name="refcoco"):
    """Three sentences of two objects in two images."""
    captions = ["The BRIGHT  square", "square on the left", "runs"]
    images = [
        {
            "id": number,
            "original_id": 7,
            "file_name": f"COCO_train2014_{number > 2:012d}.jpg",
            "height": HEIGHT,
            "width": WIDTH,
            "dataset_name": name,
            "caption": caption,
        }
        for number, caption in enumerate(captions, start=1)
    ]
    runs = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * 10, HEIGHT * 20, HEIGHT * (WIDTH - 30)]}
    outlines = [[SQUARE, SMALL], [SQUARE, SMALL], runs]
    annotations = [
        {"id": number, "image_id": number, "category_id": category, "segmentation": outline, "bbox": [0, 0, 1, 1]}
        for number, (outline, category) in enumerate(zip(outlines, (18, 18, 90), strict=True), start=1)
    ]
    return {"images": images, "annotations": annotations[::-1]}


def write_index(root, content, name="refcoco", image_set="train"):
    path = root / name / f"instances_{name}_{image_set}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def coco(tmp_path):
    return write_sets(tmp_path / "coco")


def write_sets(root):
    """Two images and the lists of all three sets."""
    (root / "train2014").mkdir(parents=True)
    for number in range(2):
        image = np.random.default_rng(number).integers(80, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / "train2014" / f"COCO_train2014_{number:012d}.jpg")
    for name in ("refcoco", "refcoco+", "refcocog"):
        for image_set in ("train", "val"):
            write_index(root, entries(name), name, image_set)
    return root


def read(root, index, image_set="train", seed=0, **options):
    dataset = RefExpDataset(root, "refcoco", image_set, EvalTransform(), **options)
    return dataset.read(index, np.random.default_rng(seed))


def test_masks_labels_and_captions(coco):
    clips = [read(coco, index) for index in range(3)]
    assert all(len(clip.frames) == 1 and clip.masks.shape == (1, HEIGHT, WIDTH) for clip in clips)
    assert np.array_equal(clips[0].masks, clips[1].masks)
    assert clips[0].masks[0, 10:40, 20:60].all()
    assert clips[0].masks[0, 3, 7]
    assert clips[0].masks.sum() < 31 * 41 + 40
    columns = np.flatnonzero(clips[2].masks[0].all(0))
    assert columns.tolist() == list(range(10, 30))
    assert [clip.label for clip in clips] == [18, 18, 90]
    assert [clip.caption for clip in clips] == ["the bright square", "square on the left", "runs"]
    assert [clip.image_id for clip in clips] == [1, 2, 3]
    assert all(clip.annotated is None for clip in clips)
    assert read(coco, 2, binary=True).label == 0
    assert read(coco, 0, caption_case="released").caption == "The BRIGHT  square"


def test_the_reference_in_training_is_another_view(coco):
    clip = read(coco, 0)
    assert len(clip.reference) == 1
    assert 0.01 < (clip.reference[0] > 0).any(-1).mean() < 0.6
    assert not np.array_equal(clip.reference[0], clip.frames[0] * clip.masks[0][..., None])
    assert not np.array_equal(clip.reference[0], read(coco, 0, seed=1).reference[0])


def test_validation_sees_no_ground_truth_and_replaces_nothing(coco):
    clip = read(coco, 0, "val", num_frames=5)
    assert len(clip.frames) == 1
    assert not clip.reference[0].any()
    content = entries()
    content["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
    write_index(coco, content, image_set="val")
    dataset = RefExpDataset(coco, "refcoco", "val", EvalTransform())
    sample = dataset[0, 2]
    assert (sample.image_id, sample.target.valid.tolist()) == (3, [False])
    (coco / "train2014" / "COCO_train2014_000000000001.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"000000000001\.jpg"):
        dataset[0, 2]


def test_pseudo_clips_refer_to_their_neighbours(coco):
    clip = read(coco, 0, num_frames=5)
    assert (len(clip.frames), len(clip.reference), len(clip.masks)) == (5, 5, 5)
    for reference, neighbour in zip(clip.reference, (1, 0, 3, 2, 3), strict=True):
        assert np.array_equal(reference, clip.frames[neighbour] * clip.masks[neighbour][..., None])


def test_an_image_of_another_size_is_named(coco):
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(coco / "train2014" / "COCO_train2014_000000000000.jpg")
    with pytest.raises(InputError, match=r"000000000000\.jpg"):
        read(coco, 0)


def test_every_part_of_all_and_its_replacements(coco):
    transform = TrainTransform(REFCOCO_RANGE, colours="none")
    parts = [RefExpDataset(coco, name, "train", transform, seed=3) for name in ("refcoco", "refcoco+", "refcocog")]
    together = ConcatClips(parts)
    assert len(together) == 9
    names = [together.read(index, np.random.default_rng(0)).name for index in range(9)]
    assert [name.split()[0] for name in names] == ["refcoco"] * 3 + ["refcoco+"] * 3 + ["refcocog"] * 3
    assert [name[-1] for name in names] == list("123123123")
    assert (together[1, 4].frames == together[1, 4].frames).all()
    assert together.seed == 3
    with pytest.raises(IndexError):
        together.read(9, np.random.default_rng(0))
    (coco / "train2014" / "COCO_train2014_000000000001.jpg").unlink()
    assert "no such file" in together[0, 2].problems[0]
    with pytest.raises(ValueError, match="at least one"):
        ConcatClips([])


def changed(place, key, value):
    content = entries()
    content[place][0][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "lists"),
        ({"images": [], "annotations": []}, "lists"),
        ({**entries(), "annotations": entries()["annotations"][1:]}, "not one annotation"),
        (changed("annotations", "image_id", 1), "not one annotation"),
        (changed("annotations", "image_id", [1]), "not one annotation"),
        (changed("annotations", "image_id", 9), "no 3"),
        (changed("annotations", "category_id", 91), "category 91"),
        (changed("annotations", "segmentation", [[1, 2, 3, 4]]), "polygon"),
        (changed("annotations", "segmentation", []), "polygon"),
        (changed("annotations", "segmentation", [["a"] * 6]), "JSON"),
        (changed("annotations", "segmentation", [[1e9, 1, 2, -1e9, 3, 4]]), "far outside"),
        (changed("annotations", "segmentation", [[float("nan")] * 6]), "far outside"),
        (changed("annotations", "segmentation", {"size": [HEIGHT, WIDTH], "counts": [1, 2]}), "runs"),
        (changed("annotations", "segmentation", {"size": [HEIGHT, WIDTH], "counts": "zzzz"}), "RLE"),
        (changed("annotations", "segmentation", {"size": [WIDTH, HEIGHT], "counts": [HEIGHT * WIDTH]}), "size"),
        (changed("annotations", "segmentation", None), "segmentation"),
        (changed("images", "file_name", "../x.jpg"), "image entry 0: '../x.jpg'"),
        (changed("images", "caption", "  "), "caption"),
        (changed("images", "height", 0), "height"),
        (changed("images", "id", "1"), "id"),
    ],
)
def test_malformed_indices_are_refused(coco, content, message):
    path = write_index(coco, content)
    with pytest.raises(InputError, match=rf"instances_refcoco_train\.json.*{message}"):
        read_index(path)


def test_missing_or_cut_indices_are_refused(coco):
    path = write_index(coco, entries())
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="JSON"):
        read_index(path)
    with pytest.raises(InputError, match="convert_refexp_to_coco"):
        RefExpDataset(coco, "refcoco", "test", EvalTransform())


def test_the_index_is_compact_and_loses_nothing(tmp_path):
    rng = np.random.default_rng(0)
    content = {"images": [], "annotations": []}
    polygons = []
    for number in range(1, 1501):
        if number % 3 == 1:
            angle = np.linspace(0, 6.2, 40)
            points = 200 + rng.uniform(30, 150) * np.stack([np.cos(angle), np.sin(angle)], 1)
            polygons.append([points.round(2).reshape(-1).tolist()])
        image = {
            "id": number,
            "file_name": f"{(number - 1) // 6}.jpg",
            "height": 480,
            "width": 640,
            "caption": f"s {number}",
        }
        content["images"].append(image)
        annotation = {"id": number, "image_id": number, "category_id": 1, "segmentation": polygons[-1]}
        content["annotations"].append(annotation)
    index = read_index(write_index(tmp_path, content))
    assert (len(index), len(index.categories), len(index.sizes)) == (1500, 500, 250)
    held = sum(value.nbytes for value in vars(index).values())
    assert held < 250 * 1500  # bytes a sentence; pycocotools takes some 5,000
    assert isinstance(index.counts, PackedStrings)
    for number in rng.integers(0, 1500, 20):
        entry = index[int(number)]
        assert (entry.caption, entry.image_id, entry.size) == (f"s {number + 1}", number + 1, (480, 640))
        expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons[number // 3], 480, 640)))
        assert np.array_equal(entry.mask(), expected.astype(bool))


@pytest.fixture
def ytvos_train(tmp_path):
    root = tmp_path / "ytvos"
    frames = ["00000", "00005", "00010"]
    for kind in ("JPEGImages", "Annotations"):
        (root / "train" / kind / "clip").mkdir(parents=True)
    for frame in frames:
        Image.new("RGB", (40, 30), (90, 120, 40)).save(root / "train" / "JPEGImages" / "clip" / f"{frame}.jpg")
        write_label_map(root / "train" / "Annotations" / "clip" / f"{frame}.png", np.tri(30, 40, dtype=np.uint8))
    meta = {"videos": {"clip": {"objects": {"1": {"category": "dog", "frames": frames}}}}}
    (root / "train" / "meta.json").write_text(json.dumps(meta))
    expressions = {"clip": {"expressions": {"0": {"exp": "a dog", "obj_id": "1"}}, "frames": frames}}
    (root / "meta_expressions" / "train").mkdir(parents=True)
    (root / "meta_expressions" / "train" / "meta_expressions.json").write_text(json.dumps({"videos": expressions}))
    return root


def build(name, image_set, *flags):
    return build_dataset(parse_settings(["--dataset_file", name, *map(str, flags)]), image_set)


def test_pretraining_and_validation_sets(coco):
    for name, length in (("refcoco", 3), ("refcoco+", 3), ("refcocog", 3), ("all", 9)):
        dataset = build(name, "train", "--coco_path", coco, "--seed", 5)
        assert (len(dataset), dataset.seed) == (length, 5)
        sample = dataset[0, length - 1]
        assert sample.frames.shape[0] == sample.reference.shape[0] == 1  # whatever --num_frames says
        assert int(sample.target.label) in (18, 90)
    assert int(build("refcoco", "train", "--coco_path", coco, "--binary")[0, 0].target.label) == 0
    assert build("refcocog", "val", "--coco_path", coco)[0, 2].image_id == 3
    with pytest.raises(InputError, match="one by one"):
        build("all", "val", "--coco_path", coco)


def test_joint_training(coco, ytvos_train):
    flags = ("--coco_path", coco, "--ytvos_path", ytvos_train, "--num_frames", 3, "--binary")
    dataset = build("joint", "train", *flags)
    assert len(dataset) == 9 + 1
    for index in (0, 9):
        sample = dataset[0, index]
        assert sample.frames.shape[0] == sample.reference.shape[0] == sample.target.masks.shape[0] == 3
    with pytest.raises(InputError, match="--binary"):
        build("joint", "train", *flags[:-1])


def test_the_video_sets_and_their_labels(ytvos_train):
    dataset = build("ytvos", "train", "--ytvos_path", ytvos_train, "--num_frames", 2)
    assert int(dataset[0, 0].target.label) == 13
    assert int(build("davis", "train", "--davis_path", ytvos_train)[0, 0].target.label) == 18


@pytest.mark.parametrize(
    ("name", "image_set", "message"),
    [
        ("jhmdb", "train", "no training set"),
        ("ytvos", "val", "inference_ytvos.py"),
        ("joint", "val", "inference_ytvos.py"),
        ("davis", "test", "inference_davis.py"),
        ("a2d", "train", "single_frame_train"),
        ("a2d", "val", "single_frame_test"),
        ("jhmdb", "val", "samples_metadata"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, name, image_set, message):
    flags = [part for path in ("a2d", "jhmdb", "ytvos", "davis") for part in (f"--{path}_path", tmp_path)]
    with pytest.raises(InputError, match=message):
        build(name, image_set, *flags)


def test_unknown_image_set():
    with pytest.raises(ValueError, match="image_set"):
        build("a2d", "valid")
