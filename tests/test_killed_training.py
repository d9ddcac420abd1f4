"""A run that is killed outright, and gone on with by the same program, is the run that was never killed."""

import signal

import pytest
import test_ytvos
from test_engine import same_weights, steps_of

from tests.faults.programs import start


@pytest.fixture
def flags(tiny_flags, tmp_path):
    """Of a training on a tiny Ref-YouTube-VOS with a loader process, that saves every step."""
    data = tmp_path / "data"
    test_ytvos.write_video(data, "va", (1, 2))
    test_ytvos.lists(data, va={"0": ("a dog", "1"), "1": ("the left cat", "2")})
    flags = (*tiny_flags, "--ytvos_path", data, "--device", "cpu", "--num_workers", "1", "--num_frames", "2")
    flags += ("--max_size", "96", "--epochs", "2", "--epoch_clips", "3", "--lr_drop", "1")
    return (*flags, "--checkpoint_steps", "1")


def test_sigkill(flags, tmp_path):
    whole, killed, said = tmp_path / "whole", tmp_path / "killed", tmp_path / "said"
    start("main", (*flags, "--output_dir", whole), said).finished()
    assert len(steps_of(whole)) == 6
    process = start("main", (*flags, "--output_dir", killed), said)
    process.wait_for((killed / "checkpoint.pth").exists)
    process.send(signal.SIGKILL)
    assert process.codes() == [-signal.SIGKILL]
    start("main", (*flags, "--output_dir", killed, "--resume", killed / "checkpoint.pth"), said).finished()
    assert steps_of(killed) == steps_of(whole)
    assert (killed / "log.txt").read_text() == (whole / "log.txt").read_text()
    assert same_weights(killed / "checkpoint.pth", whole / "checkpoint.pth")
