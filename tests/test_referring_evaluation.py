"""Evaluation of the single-frame sets: one annotated frame, from files to scores, in 1 and 2 processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_a2d
import test_jhmdb
import test_refexp
import torch
import torch.nn.functional as F
from PIL import Image
from pycocotools import mask as rle_ops

import inference_a2d
import inference_jhmdb
from datasets import a2d, build_dataset, jhmdb
from datasets.sample import collate
from models.annotated_frame import AnnotatedFrameSegmenter
from models.postprocessors import AllQueryMasks
from models.tf2 import TF2
from models.tracker import load_tracker
from opts import parse_settings
from util.coco_rle import encoded_masks
from util.referring_evaluation import evaluate, evaluation_in_training, predict, run_evaluation
from util.referring_metrics import read_ground_truth
from util.track_pictures import OVERVIEW_WIDTH
from util.visualize import PAPER

HERE = Path(__file__).parents[1]
QUERIES = 5
# Rows that the mask head's cells meet: 48 rows become 64, and a cell has 4 of these.
A2D_SAMPLES = {(4, 0): ("a dog", (0, 9)), (12, 3): ("a man", (21, 30)), (30, 5): ("a cat", (9, 39))}


@pytest.fixture
def small(monkeypatch):
    """Frames of short side 64 instead of 360, and one thread."""
    monkeypatch.setattr("datasets.transforms.EVALUATION_SHORT_SIDE", 64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def a2d_root(tmp_path):
    return write_a2d(tmp_path / "a2d")


def write_a2d(root):
    """Three sentences of one video, and a fourth image that no sentence names."""
    a2d.annotated_frames.cache_clear()
    a2d.index_video.cache_clear()
    test_a2d.write_video(root / "Release" / "clips320H" / f"{test_a2d.VIDEO}.mp4")
    truth = {f"v_{test_a2d.VIDEO}_f_20_i_3": test_a2d.rows(6, 12)}
    for (frame, instance), (_, span) in A2D_SAMPLES.items():
        mask = truth[f"v_{test_a2d.VIDEO}_f_{frame}_i_{instance}"] = test_a2d.rows(*span)
        test_a2d.write_annotation(root, frame, {instance: mask})
    samples = [[text, test_a2d.VIDEO, *key] for key, (text, _) in A2D_SAMPLES.items()]
    test_a2d.write_list(root, "test", samples)
    write_truth(root / a2d.GROUND_TRUTH, truth)
    return root


@pytest.fixture
def jhmdb_root(tmp_path):
    return write_jhmdb(tmp_path / "jhmdb")


def write_jhmdb(root):
    """Three frames of one video, and their ground truth."""
    test_jhmdb.write_set(root)
    masks = test_jhmdb.masks().astype(bool)
    write_truth(root / jhmdb.GROUND_TRUTH, {f"v_{test_jhmdb.VIDEO}_f_{f}": masks[..., f - 1] for f in (1, 4, 8)})
    return root


def write_truth(path, masks):
    """COCO ground truth from image id → mask."""
    codes = encoded_masks(np.stack(list(masks.values())))
    images = [{"id": key, "height": mask.shape[0], "width": mask.shape[1]} for key, mask in masks.items()]
    annotations = [
        {"id": i, "image_id": key, "category_id": 1, "segmentation": code, "iscrowd": 0}
        for i, (key, code) in enumerate(zip(masks, codes, strict=True), start=1)
    ]
    content = {"categories": [{"id": 1, "name": "dummy_class"}], "images": images, "annotations": annotations}
    path.write_text(json.dumps(content))


@pytest.fixture
def flags(inference_flags, tmp_path):
    """What a run needs but the data set."""
    return (*inference_flags, "--num_workers", "0", "--output_dir", str(tmp_path / "output"))


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


def predictions_of(output, name="a2d"):
    return json.loads((output / f"predictions_{name}.json").read_text())


def scores_of(output, name="a2d"):
    return json.loads((output / f"scores_{name}.json").read_text())


def failed(outcome, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line


# ---- from files to scores


@pytest.mark.usefixtures("small")
def test_alone_it_is_the_network_on_the_collated_batch(flags, a2d_root):
    """The same numbers as through the loader's transform and padding and the whole forward pass."""
    settings = parse_settings([*flags, "--dataset_file", "a2d", "--a2d_path", str(a2d_root), "--no_tracking"])
    network, dataset = load_tracker(settings).segmenter.network, build_dataset(settings, "val")
    predictions = predict(network, dataset, settings, [2, 0])
    for place, index in enumerate([2, 0]):
        batch = collate([dataset[0, index]])
        assert batch.clips.frames.shape[-2:] == (64, 128)
        with torch.inference_mode():
            last = network(batch.clips, batch.captions, annotated=batch.annotated).last
        scores, masks = AllQueryMasks()(last.logits, last.masks, batch.clips.sizes[0].tolist(), (48, 96))
        mine = predictions[QUERIES * place : QUERIES * (place + 1)]
        assert [p["score"] for p in mine] == pytest.approx(scores.tolist(), abs=1e-6)
        assert {p["image_id"] for p in mine} == {batch.image_ids[0]}
        difference = np.stack([rle_ops.decode(p["segmentation"]) for p in mine]) != masks.numpy()
        assert difference.mean() < 1e-3


@pytest.mark.usefixtures("small")
def test_masks_have_the_size_of_the_frame(flags, a2d_root):
    settings = parse_settings([*flags, "--dataset_file", "a2d", "--a2d_path", str(a2d_root)])
    segmenter = AnnotatedFrameSegmenter(load_tracker(settings).segmenter.network)
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    answer = segmenter.segment(image, segmenter.encode_text("a dog"), image // 2)
    assert answer.masks.shape == (QUERIES, 50, 70)
    assert np.array_equal(answer.probability.bool(), answer.masks[answer.scores.argmax()])


@pytest.fixture
def perfect(monkeypatch):
    """Networks whose every query is the mask that `perfect` holds for the sentence, as logits at stride 4."""
    masks, asked = {}, []
    encode_text = TF2.encode_text

    def remembered(self, captions):
        asked.append(captions[0])
        return encode_text(self, captions)

    def segment(self, state, features, sizes):
        height, width = sizes[0].tolist()
        mask = torch.from_numpy(masks[asked[-1]]).float()[None, None]
        cells = F.interpolate(mask, (height // 4, width // 4), mode="nearest")
        logits = F.pad(20 * cells - 10, (0, features.shape[-1] - width // 4, 0, features.shape[-2] - height // 4))
        return logits[None].expand(1, 1, QUERIES, -1, -1)

    monkeypatch.setattr(TF2, "encode_text", remembered)
    monkeypatch.setattr(TF2, "segment", segment)
    return masks


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", [[], ["--no_tracking"]])
def test_a_perfect_network_has_a_perfect_score(program, perfect, flags, a2d_root, output, mode):
    perfect |= {text: test_a2d.rows(*span) for text, span in A2D_SAMPLES.values()}
    outcome = program(inference_a2d.main, *flags, "--a2d_path", a2d_root, "--num_frames", 3, *mode)
    assert outcome.code == 0, outcome.err
    scores = scores_of(output)
    assert [scores[f"P@{level}"] for level in (0.5, 0.9)] == [0.75, 0.75], "the image without a sentence counts as 0"
    assert (scores["images"], scores["images without prediction"]) == (4, 1)
    assert scores["mAP 0.5:0.95 (best query)"] == pytest.approx(76 / 101)
    assert "P@0.9" in outcome.out
    assert "1 without a prediction" in outcome.out
    truth = json.loads((a2d_root / a2d.GROUND_TRUTH).read_text())
    truth["images"], truth["annotations"] = truth["images"][1:], truth["annotations"][1:]
    (a2d_root / a2d.GROUND_TRUTH).write_text(json.dumps(truth))
    assert program(inference_a2d.main, *flags, "--a2d_path", a2d_root, *mode).code == 0
    scores = scores_of(output)
    assert [scores[name] for name in ("P@0.5", "P@0.9", "overall_iou", "mean_iou")] == [1, 1, 1, 1]


@pytest.mark.usefixtures("small")
def test_predictions_are_cocos_results(program, flags, a2d_root, output):
    outcome = program(inference_a2d.main, *flags, "--a2d_path", a2d_root, "--num_workers", 1)
    assert outcome.code == 0, outcome.err
    predictions = predictions_of(output)
    ids = [f"v_{test_a2d.VIDEO}_f_{f}_i_{i}" for f, i in A2D_SAMPLES]
    assert [p["image_id"] for p in predictions] == [image_id for image_id in ids for _ in range(QUERIES)]
    for entry in predictions:
        assert set(entry) == {"image_id", "category_id", "segmentation", "score"}
        assert entry["category_id"] == 1
        assert 0 < entry["score"] < 1
        assert rle_ops.decode(entry["segmentation"]).shape == (test_a2d.HEIGHT, test_a2d.WIDTH)
    assert {p.name for p in output.iterdir()} == {"predictions_a2d.json", "scores_a2d.json"}


@pytest.mark.usefixtures("small")
def test_jhmdb_and_its_two_ways_to_write_a_frame(program, flags, jhmdb_root, output):
    path = jhmdb_root / jhmdb.GROUND_TRUTH
    assert program(inference_jhmdb.main, *flags, "--jhmdb_path", jhmdb_root).code == 0
    scores = scores_of(output, "jhmdb")
    assert scores["images without prediction"] == 0
    path.write_text(path.read_text().replace("_f_4", "_f_00004"))
    assert program(inference_jhmdb.main, *flags, "--jhmdb_path", jhmdb_root).code == 0
    assert scores_of(output, "jhmdb") == scores
    assert f"v_{test_jhmdb.VIDEO}_f_00004" in {p["image_id"] for p in predictions_of(output, "jhmdb")}


@pytest.mark.usefixtures("small")
def test_refcoco_through_the_function_of_main(perfect, flags, tmp_path, output, capsys):
    coco = test_refexp.write_sets(tmp_path / "coco")
    settings = parse_settings([*flags, "--dataset_file", "refcoco+", "--coco_path", str(coco)])
    dataset = build_dataset(settings, "val")
    perfect |= {dataset.index[i].caption.lower(): dataset.index[i].mask() for i in range(3)}
    perfect["the bright square"] = dataset.index[0].mask()  # as the network reads it
    assert run_evaluation(settings) == 0
    assert [p["image_id"] for p in predictions_of(output, "refcoco+")] == [i for i in (1, 2, 3) for _ in range(QUERIES)]
    assert scores_of(output, "refcoco+")["P@0.5"] == 1
    assert "mAP 0.5:0.95" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_scores_after_epochs(flags, a2d_root, jhmdb_root, output, tmp_path, capsys):
    paths = (
        "--a2d_path",
        a2d_root,
        "--jhmdb_path",
        jhmdb_root,
        "--coco_path",
        test_refexp.write_sets(tmp_path / "coco"),
    )

    def after_epoch(name):
        return evaluation_in_training(parse_settings([*flags, *map(str, paths), "--dataset_file", name, "--binary"]))

    network = load_tracker(parse_settings(flags)).segmenter.network
    assert {"test_P@0.9", "test_mAP 0.5:0.95", "test_mean_iou"} <= set(after_epoch("a2d")(network))
    record = after_epoch("all")(network)
    assert {f"test_{name}_P@0.5" for name in ("refcoco", "refcoco+", "refcocog")} <= set(record)
    assert (output / "predictions_refcocog.json").is_file()
    assert [after_epoch(name) for name in ("ytvos", "davis", "joint", "jhmdb")] == [None] * 4
    (a2d_root / a2d.GROUND_TRUTH).unlink()
    capsys.readouterr()
    assert after_epoch("a2d") is None
    assert a2d.GROUND_TRUTH in capsys.readouterr().err


# ---- processes

DRIVER = """
import sys
import datasets.transforms
from opts import parse_settings
from util.distributed import joined_processes, rank
from util.errors import InputError
from util.referring_evaluation import run_evaluation

datasets.transforms.EVALUATION_SHORT_SIDE = 64
output, *roots, flags = sys.argv[1:]
with joined_processes("cpu"):
    for root in roots:
        settings = parse_settings([*flags.split("\\n"), "--jhmdb_path", root, "--output_dir", output + root])
        try:
            run_evaluation(settings)
        except InputError as error:
            open(f"{output}{root}/error{rank()}", "w").write(str(error))
"""


@pytest.mark.usefixtures("small")
def test_two_processes_write_what_one_writes(program, flags, jhmdb_root, tmp_path):
    """Three samples; one, so that a process has none; and a broken one, which both report and neither waits for."""
    one, broken = (shutil.copytree(jhmdb_root, tmp_path / name) for name in ("one", "broken"))
    samples = json.loads((one / jhmdb.SAMPLES).read_text())
    (one / jhmdb.SAMPLES).write_text(json.dumps(samples[:1]))
    next(broken.rglob("00008.png")).unlink()
    driver, several = tmp_path / "driver.py", tmp_path / "several"
    driver.write_text(DRIVER)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    roots = [str(root) for root in (jhmdb_root, one, broken)]
    command = [*torchrun, driver, several, *roots, "\n".join((*flags, "--dataset_file", "jhmdb"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mean_iou") == 2, "the first process alone, of both sets that can be read"
    for root in (jhmdb_root, one):
        alone, together = tmp_path / f"alone-{root.name}", Path(f"{several}{root}")
        assert program(inference_jhmdb.main, *flags, "--jhmdb_path", root, "--output_dir", alone).code == 0
        for name in ("predictions_jhmdb.json", "scores_jhmdb.json"):
            assert (alone / name).read_bytes() == (together / name).read_bytes()
    errors = [Path(f"{several}{broken}/error{rank}").read_text() for rank in (0, 1)]
    assert errors[0] == errors[1]
    assert "00008.png" in errors[0]


# ---- bad input


@pytest.fixture
def run(program, flags, a2d_root):
    return lambda *more: program(inference_a2d.main, *flags, "--a2d_path", a2d_root, *more)


@pytest.mark.usefixtures("small")
def test_what_cannot_be_evaluated_is_named(run, a2d_root, output):
    video = a2d_root / "Release" / "clips320H" / f"{test_a2d.VIDEO}.mp4"
    failed(run("--resume", ""), "--resume")
    failed(run("--resume", a2d_root / "none.pth"), "none.pth")
    failed(run("--dataset_file", "jhmdb"), "main.py --dataset_file jhmdb --eval")
    content = video.read_bytes()
    video.write_bytes(content[:1000])
    a2d.index_video.cache_clear()
    failed(run(), video)
    failed(run("--num_workers", 1), video)
    video.unlink()
    failed(run(), video, "--a2d_path")
    video.write_bytes(content)
    test_a2d.write_list(a2d_root, "test", [["a dog " * 80, test_a2d.VIDEO, 4, 0]])
    failed(run(), "frame 4, instance 0", "shorten it")
    assert list(output.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_ground_truth_of_another_release(run, a2d_root):
    path = a2d_root / a2d.GROUND_TRUTH
    path.write_text(path.read_text().replace("_f_12_", "_f_13_"))
    failed(run(), path, "1 of 3 samples", "_f_12_i_3")
    path.write_text("{")
    failed(run(), path)
    path.unlink()
    failed(run(), path)


@pytest.mark.usefixtures("small")
def test_flags_of_other_sets_are_told(run, a2d_root):
    outcome = run("--overwrite", "--ngpu", "3")
    assert outcome.code == 0
    assert "no effect: --overwrite" in outcome.err
    assert "torchrun --nproc_per_node 3" in outcome.err


@pytest.mark.usefixtures("small")
def test_a_picture_a_sample(run, output):
    assert run("--visualize").code == 0
    entries = predictions_of(output)
    assert {path.stem for path in (output / "images_a2d").iterdir()} == {entry["image_id"] for entry in entries}
    for path in (output / "images_a2d").iterdir():
        best = max((e for e in entries if e["image_id"] == path.stem), key=lambda entry: entry["score"])
        height, width = best["segmentation"]["size"]
        with Image.open(path) as picture:
            assert picture.width == width
            assert picture.height > height, "the strip lies above the frame"
    with Image.open(output / "images_a2d_overview.png") as overview:
        assert overview.width == OVERVIEW_WIDTH
        gaps = (np.array(overview) == PAPER).all((0, 2)).astype(int)
    assert np.count_nonzero(np.diff(gaps) == 1) == 3, "three samples beside each other"


@pytest.mark.usefixtures("small")
def test_evaluate_needs_no_files_but_the_frames(flags, a2d_root, output):
    """As the engine calls it: a network in hand; its answer is the metric's."""
    settings = parse_settings([*flags, "--dataset_file", "a2d", "--a2d_path", str(a2d_root)])
    network, dataset = load_tracker(settings).segmenter.network, build_dataset(settings, "val")
    truth = read_ground_truth(a2d_root / a2d.GROUND_TRUTH)
    scores = evaluate(network, dataset, truth, settings)
    assert (scores.images, scores.without_prediction) == (4, 1)
    assert len(predictions_of(output)) == 3 * QUERIES
    assert predict(network, dataset, settings, []) == []
