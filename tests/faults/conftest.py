"""Tiny runs that can be broken anywhere: a training and an inference that take a second or two."""

import os
import random
import shutil
import time

import pytest
import test_ytvos

from tests.faults.programs import files_in, start

TRIES = int(os.environ.get("TF2_FAULT_TRIES", "3"))  # of each random fault; `make faults` asks for more

thorough = pytest.mark.skipif(TRIES <= 3, reason="takes long: `make faults` runs it")


def slow(*values):
    """Parameters that only `make faults` tries."""
    return pytest.param(*values, marks=thorough)


def moments(tries: int, seed: int, whole: float) -> list[float]:
    """One random moment in each of `tries` equal parts of a run of `whole` seconds."""
    draw = random.Random(seed)
    return [(part + draw.random()) * whole / tries for part in range(tries)]


@pytest.fixture
def training(tiny_flags, tmp_path):
    """The flags of a training of six steps on two videos, that writes to `tmp_path / "output"`."""
    data = tmp_path / "data"
    test_ytvos.write_video(data, "va", (1, 2))
    test_ytvos.lists(data, va={"0": ("a dog", "1"), "1": ("the left cat", "2")})
    flags = (*tiny_flags, "--ytvos_path", data, "--output_dir", tmp_path / "output", "--device", "cpu")
    flags += ("--num_frames", "2", "--max_size", "96", "--epochs", "2", "--lr_drop", "1", "--checkpoint_steps", "2")
    return (*flags, "--num_workers", "0", "--ema", "0.9", "--epoch_clips", "3")


@pytest.fixture
def segmenting(inference_flags, ytvos, tmp_path):
    """The flags of an inference over two videos of four frames, that writes to `tmp_path / "output"`."""
    return (*inference_flags, "--ytvos_path", ytvos, "--output_dir", tmp_path / "output")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


@pytest.fixture
def undisturbed(tmp_path, output):
    """undisturbed(program, flags, processes=1) -> (its files, its seconds); the output folder is removed again."""

    def run(program, flags, processes=1):
        running = start(program, flags, tmp_path / "said", processes)
        running.finished()
        seconds, files = time.monotonic() - running.started, files_in(output)
        shutil.rmtree(output)
        return files, seconds

    return run
