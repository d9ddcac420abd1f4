"""Any device by name or by itself, and data that is read in processes however they are started."""

import json
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from tiny_world import write_sets

import main
from datasets import build_dataset
from opts import parse_settings
from tools.data.convert_davis_to_ytvos import convert
from util.distributed import pick_device
from util.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")

# ---- devices


@pytest.fixture
def machine(monkeypatch):
    """machine(gpus, apple): what PyTorch finds."""

    def set_up(gpus, apple):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

    return set_up


@pytest.mark.parametrize(
    ("gpus", "apple", "name", "picked"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "auto", "cuda:1"),
        (2, False, "cuda", "cuda:1"),
        (2, False, "cuda:0", "cuda:0"),
        (2, True, "cpu", "cpu"),
        (0, True, "mps", "mps"),
    ],
)
def test_the_device_that_is_there(machine, gpus, apple, name, picked):
    machine(gpus, apple)
    assert str(pick_device(name, local_rank=1)) == picked


@pytest.mark.parametrize(
    ("name", "words"),
    [("cuda", "--device cuda: "), ("cuda:3", "finds none"), ("mps", "finds none"), ("gpu", "no such device")],
)
def test_a_device_that_is_not_there_is_refused(machine, name, words):
    machine(0, False)
    with pytest.raises(InputError, match=words):
        pick_device(name)


def test_a_program_says_so_in_one_line(program, inference_flags, tmp_path, machine):
    machine(0, False)
    flags = ("--dataset_file", "ytvos", "--device", "cuda", "--output_dir", tmp_path / "out")
    (line,) = program(main.main, *inference_flags, *flags).errors
    assert line.startswith("--device cuda: ")


# ---- processes that read data


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    write_sets(data)
    convert(data / "ref-davis", data / "ref-davis", "copy")
    return data


@pytest.fixture
def flags(sets):
    paths = {"coco": "coco", "ytvos": "ref-youtube-vos", "davis": "ref-davis", "a2d": "a2d_sentences"}
    paths |= {"jhmdb": "jhmdb_sentences"}
    return [word for name, folder in paths.items() for word in (f"--{name}_path", str(sets / folder))]


@pytest.mark.parametrize(
    ("name", "part"),
    [("ytvos", "train"), ("davis", "train"), ("a2d", "val"), ("jhmdb", "val"), ("all", "train"), ("joint", "train")],
)
def test_a_set_that_travelled_to_another_process_reads_the_same(flags, name, part):
    dataset = build_dataset(parse_settings([*flags, "--dataset_file", name, "--binary", "--num_frames", "2"]), part)
    clip, again = (which.read(0, np.random.default_rng(0)) for which in (dataset, pickle.loads(pickle.dumps(dataset))))
    assert (clip.name, clip.caption) == (again.name, again.caption)
    assert np.array_equal(clip.frames, again.frames) and np.array_equal(clip.reference, again.reference)


@pytest.fixture
def spawning():
    """Processes are started as on Windows and macOS; on Linux they are forked."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def test_training_with_a_spawned_worker_is_the_same(program, flags, tiny_flags, tmp_path, spawning):
    run = ("--device", "cpu", "--max_steps", "2", "--num_frames", "2", "--max_size", "64")
    steps = []
    for workers in ("0", "1"):
        output = tmp_path / workers
        outcome = program(main.main, *tiny_flags, *flags, *run, "--num_workers", workers, "--output_dir", output)
        assert outcome.code == 0, outcome.err
        steps.append([json.loads(line) for line in (output / "steps.jsonl").read_text().splitlines()])
    assert len(steps[0]) == 2
    assert steps[0] == steps[1]
