"""A run that is killed outright, and gone on with by the same program, is the run that was never killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import test_ytvos
from test_engine import same_weights, steps_of

MAIN = Path(__file__).parents[1] / "main.py"


@pytest.fixture
def start(tiny_flags, tmp_path):
    """start(output, *flags) -> a running main.py that trains on a tiny Ref-YouTube-VOS with a loader process."""
    data = tmp_path / "data"
    test_ytvos.write_video(data, "va", (1, 2))
    test_ytvos.lists(data, va={"0": ("a dog", "1"), "1": ("the left cat", "2")})

    def run(output, *flags):
        command = [sys.executable, MAIN, *tiny_flags, "--ytvos_path", data, "--output_dir", output, "--device", "cpu"]
        command += ["--num_workers", "1", "--num_frames", "2", "--max_size", "96", "--epochs", "3", "--lr_drop", "1"]
        command += ["--checkpoint_steps", "1", *flags]
        return subprocess.Popen(
            list(map(str, command)),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    return run


def finished(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def test_sigkill(start, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finished(start(whole))
    assert len(steps_of(whole)) >= 6
    process = start(killed)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint.pth").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / "checkpoint.pth").exists()
    finished(start(killed, "--resume", killed / "checkpoint.pth"))
    assert steps_of(killed) == steps_of(whole)
    assert (killed / "log.txt").read_text() == (whole / "log.txt").read_text()
    assert same_weights(killed / "checkpoint.pth", whole / "checkpoint.pth")
