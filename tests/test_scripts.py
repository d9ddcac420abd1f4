"""The scripts as a user starts them: a few steps on tiny data, the same command again, bad usage; and their recipes."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import test_a2d
import test_paste_pairs
import test_refexp
import test_ytvos
from conftest import YTVOS_FRAMES, write_expressions, write_frames
from forked_python import forked_python
from PIL import Image
from test_referring_evaluation import write_truth

from datasets import a2d
from opts import parse_settings
from tools.data.make_synthetic import main as make_synthetic_main
from util.mask_io import write_label_map
from util.model_folder import ModelConfig

SCRIPTS = Path(__file__).parents[1] / "scripts"
RUNNABLE = sorted(path.name for path in SCRIPTS.glob("*.sh") if path.name not in ("common.sh", "slurm_example.sh"))
RECIPES = sorted(path.stem for path in (SCRIPTS / "recipes").glob("*.txt"))


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """What the scripts run programs with. torchrun's processes are real Pythons."""
    with forked_python(tmp_path_factory.mktemp("python")) as path:
        yield path


@pytest.fixture
def start(tmp_path, python):
    """start(script, *arguments, **environment) -> the finished process, started in another folder than the checkout."""

    def run(script, *arguments, **environment):
        usual = {"PYTHON": python, "OMP_NUM_THREADS": "1", "GPUS": "1"}
        command = ["bash", SCRIPTS / script, *map(str, arguments)]
        environment = os.environ | usual | environment
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def tiny(tiny_flags):
    """Flags of a run of two steps with the tiny network."""
    run = ("--device", "cpu", "--num_workers", "0", "--batch_size", "1", "--max_steps", "2")
    return (*tiny_flags, *run, "--num_frames", "2", "--max_size", "96", "--short_side", "64", "--key_candidates", "1")


@pytest.fixture
def videos(ytvos):
    """The flags of a Ref-YouTube-VOS with a training part of nine clips."""
    test_ytvos.write_video(ytvos, "va", (1, 2))
    test_ytvos.write_video(ytvos, "vb", (3,))
    expressions = {"va": {"0": ("a dog", "1"), "1": ("the left cat", "2")}, "vb": {"0": ("a bird", "3")}}
    test_ytvos.lists(ytvos, **expressions)
    return ("--ytvos_path", ytvos)


@pytest.fixture
def images(tmp_path):
    """The flags of a RefCOCO/+/g of nine sentences."""
    return ("--coco_path", test_refexp.write_sets(tmp_path / "coco"))


def done(process):
    assert process.returncode == 0, process.stderr
    return process


def make_synthetic(root):
    """A set of one short video in each of training and test."""
    sizes = ("--videos", "1", "--valid", "0", "--test", "1", "--size", "64x96", "--frames", "8", "--seed", "1")
    make_synthetic_main([*sizes, "--output", str(root)])
    return root


def steps(output):
    return [json.loads(line)["step"] for line in (output / "steps.jsonl").read_text().splitlines()]


def recorded(output):
    return json.loads((output / "run.json").read_text())


def masks(output):
    return {str(path.relative_to(output / "valid")) for path in (output / "valid").rglob("*.png")}


YTVOS_MASKS = {f"{place}/{frame}.png" for place in ("beach/0", "beach/1", "street/0") for frame in YTVOS_FRAMES}


# ---- every script


def test_ytvos_and_the_same_command_again_goes_on(start, tiny, videos, checkpoint, tmp_path):
    output, command = tmp_path / "out", ("dist_train_test_ytvos.sh", "out", checkpoint, *tiny, *videos)
    first = done(start(*command))
    assert f"{checkpoint}: " in first.stderr
    assert "1 clips a step, the recipe was made for 3" in first.stderr
    assert (steps(output), masks(output)) == ([0, 1], YTVOS_MASKS)
    assert (output / "valid.zip").is_file()
    settings = recorded(output)["settings"]
    assert (settings["epochs"], settings["lr_drop"], settings["num_frames"]) == (6, [3, 5], 2)

    second = done(start(*command, "--max_steps", "3"))
    assert "out/checkpoint.pth: " in second.stderr and f"{checkpoint}: " not in second.stderr
    assert (steps(output), masks(output)) == ([0, 1, 2], YTVOS_MASKS)
    assert len(list(output.glob("valid_before_*"))) == 1, "masks of the network of two steps"


def test_ytvos_from_scratch_in_two_processes(start, tiny, videos, tmp_path):
    done(start("dist_train_test_ytvos_scratch.sh", "out", *tiny, *videos, "--ngpu", "1", GPUS="2"))
    output = tmp_path / "out"
    assert (steps(output), masks(output)) == ([0, 1], YTVOS_MASKS)
    assert recorded(output)["clips_per_step"] == 2
    assert recorded(output)["settings"]["epochs"] == 10


def test_joint(start, tiny, videos, images, tmp_path):
    done(start("dist_joint_train_ytvos.sh", "out", *tiny, *videos, *images))
    assert (steps(tmp_path / "out"), masks(tmp_path / "out")) == ([0, 1], YTVOS_MASKS)
    assert recorded(tmp_path / "out")["settings"]["dataset_file"] == "joint"


def test_pretraining(start, tiny, images, tmp_path):
    done(start("dist_pretrain.sh", "out", *tiny, *images))
    assert steps(tmp_path / "out") == [0, 1]
    assert not recorded(tmp_path / "out")["settings"]["freeze_text_encoder"]


def test_refcoco(start, tiny, images, checkpoint, tmp_path):
    done(start("dist_train_test_refcoco.sh", "out", checkpoint, *tiny, *images, "--dataset_file", "refcoco+"))
    assert steps(tmp_path / "out") == [0, 1]
    assert json.loads((tmp_path / "out" / "scores_refcoco+.json").read_text())["images"] == 3


def test_a2d_from_scratch(start, tiny, tmp_path):
    root = tmp_path / "a2d"
    test_a2d.write_video(root / "Release" / "clips320H" / f"{test_a2d.VIDEO}.mp4")
    mask = test_a2d.rows(0, 9)
    test_a2d.write_annotation(root, 4, {0: mask})
    for image_set in ("train", "test"):
        test_a2d.write_list(root, image_set, [["a dog", test_a2d.VIDEO, 4, 0]])
    write_truth(root / a2d.GROUND_TRUTH, {f"v_{test_a2d.VIDEO}_f_4_i_0": mask})
    done(start("dist_train_a2d.sh", "out", *tiny, "--a2d_path", root))
    output = tmp_path / "out"
    assert (steps(output), recorded(output)["settings"]["weight_decay"]) == ([0, 1], 1e-4)
    epochs = [json.loads(line) for line in (output / "log.txt").read_text().splitlines()]
    scores = json.loads((output / "scores_a2d.json").read_text())
    assert scores["images"] == 1
    assert [epoch["test_images"] for epoch in epochs] == [1, 1], "one step is an epoch here"


def test_mini_from_clips_to_a_model_folder_and_the_same_command_again_does_nothing(start, tmp_path):
    clips = test_paste_pairs.write_clips(tmp_path / "clips")
    tiny = ("--hidden_dim", "32", "--mask_dim", "32", "--dim_feedforward", "32", "--enc_layers", "1")
    tiny += ("--dec_layers", "1", "--num_workers", "0", "--device", "cpu", "--batch_size", "1", "--max_steps", "1")
    sizes = ("--train_short_sides", "64", "--max_size", "96")
    made = {"CLIPS": str(clips), "VIDEOS": "1", "PAIRS": "1", "WORKERS": "1", "BACKBONE": "random"}
    for _ in range(2):
        done(start("train_mini.sh", "out", *tiny, *sizes, **made))
    names = ("1_look", "2_read", "3_follow", "4_grow", "5_sharpen")
    stages = [recorded(tmp_path / "out" / name)["settings"] for name in names]
    for before, stage in zip(names, stages[1:], strict=False):
        assert stage["pretrained_weights"] == f"out/{before}/checkpoint.pth"
    assert [stage["ytvos_path"] for stage in stages] == ["out/all"] * 4 + ["out/last"]
    assert steps(tmp_path / "out" / "5_sharpen") == [0]
    assert ModelConfig.read(tmp_path / "out" / "tf2_mini").model["hidden_dim"] == 32


def test_tracking_compared(start, tmp_path, text_encoder):
    data = make_synthetic(tmp_path / "data")
    tiny = ("--hidden_dim", "32", "--mask_dim", "32", "--dim_feedforward", "32", "--enc_layers", "1")
    tiny += ("--dec_layers", "1", "--num_workers", "0", "--device", "cpu", "--batch_size", "1", "--key_candidates", "1")
    made = {"DATA": str(data), "TEXT": str(text_encoder), "BACKBONE": "random", "CLIPS": "1", "SEEDS": "1"}
    done(start("compare_tracking.sh", "out", *tiny, **made))
    _, *rows = (tmp_path / "out" / "table.md").read_text().splitlines()[1:]
    assert [row.split("|")[1].strip() for row in rows] == [
        "tracking",
        "tracking, references augmented apart",
        "no tracking",
    ]
    settings = {name: recorded(tmp_path / "out" / f"{name}_1")["settings"] for name in ("tracking", "no_tracking")}
    assert settings["tracking"]["reference_dropout"] == 0.5 and not settings["no_tracking"]["tracking"]


def test_davis(start, tiny, checkpoint, tmp_path):
    root = tmp_path / "davis"
    write_frames(root / "valid" / "JPEGImages" / "dog", YTVOS_FRAMES)
    write_expressions(root, "valid", {"dog": dict.fromkeys("0123", "the dog")})
    done(start("dist_test_davis.sh", "out", checkpoint, *tiny, "--davis_path", root))
    expected = {f"anno_{annotation}/dog/{index:05d}.png" for annotation in range(4) for index in range(4)}
    assert masks(tmp_path / "out") == expected
    truth = root / "DAVIS" / "Annotations_unsupervised" / "480p" / "dog"
    truth.mkdir(parents=True)
    for index in range(4):
        with Image.open(root / "valid" / "JPEGImages" / "dog" / f"{YTVOS_FRAMES[index]}.jpg") as frame:
            labels = np.zeros((frame.height, frame.width), dtype=np.uint8)
        labels[index : 9 + index, 3:9] = 1
        write_label_map(truth / f"{index:05d}.png", labels)
    (root / "DAVIS" / "ImageSets" / "2017").mkdir(parents=True)
    (root / "DAVIS" / "ImageSets" / "2017" / "val.txt").write_text("dog\n")
    done(start("dist_test_davis.sh", "out", checkpoint, *tiny, "--davis_path", root))
    assert json.loads((tmp_path / "out" / "scores_davis.json").read_text())["task"] == "unsupervised"


# ---- what they start, with a Python that only says how it was called


@pytest.fixture
def told(start, tmp_path):
    """The same, but the process's answer is the command lines that it would have run."""
    speaker = tmp_path / "python"
    speaker.write_text('#!/bin/sh\necho "$@"\n')
    speaker.chmod(0o755)

    def run(script, *arguments, **environment):
        return done(start(script, *arguments, **{"PYTHON": str(speaker)} | environment)).stdout.splitlines()

    return run


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pth"
    path.touch()
    return path


def test_processes_on_several_machines(told, weights):
    machines = {"NNODES": "2", "MASTER_ADDR": "first", "GPUS": "4"}
    command = ("dist_train_test_ytvos.sh", "out", weights, "--amp", "bf16")
    training, inference = told(*command, **machines)
    expected = "-m torch.distributed.run --nnodes 2 --node_rank 0 --nproc_per_node 4 --master_addr first "
    assert training.startswith(f"{expected}--master_port 29500 {SCRIPTS.parent / 'main.py'} @{SCRIPTS}/recipes/ytvos.")
    assert training.endswith(f"--output_dir out --pretrained_weights {weights} --amp bf16")
    assert "inference_ytvos.py" in inference and "--ngpu 4 --output_dir out --amp bf16" in inference
    (training,) = told(*command, NODE_RANK="1", MASTER_PORT="1234", **machines)
    assert "--node_rank 1" in training and "--master_port 1234" in training


def test_slurm(told, start, weights, tmp_path):
    for name, text in (("scontrol", "printf 'first\\nsecond\\n'"), ("srun", 'SLURM_NODEID=1 exec "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    cluster = {"SLURM_JOB_NODELIST": "x", "SLURM_JOB_ID": "7001", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    script = SCRIPTS / "dist_train_test_ytvos.sh"
    (training,) = told("slurm_example.sh", script, "out", weights, PATH=path, **cluster)
    assert "--node_rank 1 --nproc_per_node 4 --master_addr first --master_port 29501" in training
    assert start("slurm_example.sh", script).returncode == 2


def test_a2d_has_a_recipe_with_weights_and_one_without(told, weights):
    assert all("recipes/a2d.txt" in line for line in told("dist_train_a2d.sh", "out", weights))
    assert all("recipes/a2d_scratch.txt" in line for line in told("dist_train_a2d.sh", "out", "--backbone", "resnet50"))


# ---- bad usage


def refused(process, *parts):
    assert (process.returncode, process.stdout) == (2, "")
    (line,) = process.stderr.splitlines()
    assert all(part in line for part in parts), line


@pytest.mark.parametrize("script", RUNNABLE)
def test_usage(start, script):
    for arguments in ((), ("--binary",)):
        refused(start(script, *arguments), f"usage: {script} OUTPUT_DIR", "[flags of main.py ...]")


def test_weights_are_asked_for_where_a_run_needs_them(start, tmp_path):
    for script in ("dist_train_test_ytvos.sh", "dist_test_davis.sh"):
        refused(start(script, "out", "--binary"), f"usage: {script} OUTPUT_DIR ")
    refused(start("dist_train_test_ytvos_scratch.sh", "out", "weights.pth"), "usage: ", "OUTPUT_DIR [flags")
    refused(start("dist_train_a2d.sh", "out", "none.pth"), "error: none.pth: no such file")
    refused(start("dist_pretrain.sh", "out", NNODES="2"), "error: NNODES=2 also needs MASTER_ADDR")
    assert not (tmp_path / "out").exists()


# ---- recipes: spec §3, table of runs

PUBLISHED = {
    "pretrain": ("all", 12, (8, 10), 1, 2, 0),
    "ytvos": ("ytvos", 6, (3, 5), 5, 1, 3),
    "ytvos_scratch": ("ytvos", 10, (6, 8), 5, 1, 0),
    "joint": ("joint", 12, (8, 10), 5, 1, 0),
    "a2d": ("a2d", 6, (3, 5), 5, 2, 0),
    "a2d_scratch": ("a2d", 12, (8, 10), 6, 2, 0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes(name):
    settings = parse_settings([f"@{SCRIPTS}/recipes/{name}.txt"])
    data, rates, run = settings.data, settings.optimiser, settings.run
    row = (data.dataset_file, rates.epochs, rates.lr_drop, data.num_frames, rates.batch_size, run.recipe_batch)
    assert row == PUBLISHED[name]
    assert settings.model.with_box_refine and settings.model.num_classes == 1
    assert settings.model.freeze_text_encoder == (name != "pretrain")
    assert (rates.lr, rates.lr_backbone, rates.lr_text_encoder) == (1e-4, 5e-5, 1e-5)
    scratch_a2d = name == "a2d_scratch"
    assert (settings.model.dropout, rates.weight_decay) == ((0, 1e-4) if scratch_a2d else (0.1, 5e-4))


@pytest.mark.parametrize("name", RECIPES)
def test_later_flags_override_a_recipe(name, capsys):
    settings = parse_settings([f"@{SCRIPTS}/recipes/{name}.txt", "--lr_drop", "1", "--batch_size", "7"])
    assert (settings.optimiser.lr_drop, settings.optimiser.batch_size) == ((1,), 7)
    assert capsys.readouterr().err == ""
