"""A process of several dies: the others end within a minute with one clear line, and the same command goes on."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import slow, thorough
from tests.faults.counts import record
from tests.faults.programs import children, differing, files_in, start, steps_of

A_MINUTE = 60


def ended_clearly(running, words, victims=()):
    """Every process but the victims ends with code 2, in time, and one error line each."""
    began = time.monotonic()
    codes = [code for place, code in enumerate(running.codes()) if place not in victims]
    assert time.monotonic() - began < A_MINUTE
    assert set(codes) == {2} and "Traceback" not in running.said, running.said
    assert len(running.errors) == len(codes) and words in running.errors[0], running.said


def test_a_data_worker_dies(training, undisturbed, output, tmp_path):
    flags = (*training, "--num_workers", "2", "--checkpoint_steps", "1", "--epoch_clips", "6")
    whole, _ = undisturbed("main", flags)
    running = start("main", flags, tmp_path / "said")
    running.wait_for(lambda: steps_of(output))
    os.kill(children(running.group)[0], signal.SIGKILL)
    ended_clearly(running, "fewer --num_workers")
    start("main", flags, tmp_path / "said").finished()
    assert differing(files_in(output), whole) == []
    record("a data worker is killed", 1, 1, "error: a process that loads data was killed, perhaps for want of memory …")


@pytest.mark.parametrize("victim", [0, slow(1)])
def test_a_rank_of_training_dies(victim, training, undisturbed, output, tmp_path):
    whole, _ = undisturbed("main", training, 2)
    running = start("main", training, tmp_path / "said", 2)
    running.wait_for(lambda: steps_of(output))
    running.processes[victim].kill()
    ended_clearly(running, "another one has ended", [victim])
    start("main", training, tmp_path / "said", 2).finished()
    assert differing(files_in(output), whole) == []
    record("one of two training processes is killed", 1, 1, "error: process 0 stops because another one has ended …")


@pytest.mark.parametrize("victim", [0, slow(1)])
def test_a_rank_of_inference_dies(victim, segmenting, undisturbed, output, tmp_path):
    whole, _ = undisturbed("inference_ytvos", segmenting)
    running = start("inference_ytvos", segmenting, tmp_path / "said", 2)
    running.wait_for(lambda: any(output.rglob("*.png")))
    running.processes[victim].kill()
    ended_clearly(running, "another one has ended", [victim])
    start("inference_ytvos", segmenting, tmp_path / "said", 2).finished()
    assert differing(files_in(output), whole) == []
    record("one of two inference processes is killed", 1, 1, "error: process 0 stops because another one has ended …")


@thorough
def test_the_starting_process_alone_is_killed(segmenting, undisturbed, output, tmp_path):
    """Those that --ngpu started do not go on beside the next run."""
    whole, _ = undisturbed("inference_ytvos", segmenting)
    running = start("inference_ytvos", (*segmenting, "--ngpu", "2"), tmp_path / "said")
    running.wait_for(lambda: any(output.rglob("*.png")))
    orphans = children(running.group)
    os.kill(running.group, signal.SIGKILL)
    running.processes[0].join()
    deadline = time.monotonic() + A_MINUTE
    while any(map(alive, orphans)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, orphans))
    start("inference_ytvos", segmenting, tmp_path / "said").finished()
    assert differing(files_in(output), whole) == []
    record("the process that --ngpu starts others from is killed", 1, 1, "the others end too; the same command goes on")


def alive(pid):
    """Whether it runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
