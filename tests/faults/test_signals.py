"""Ctrl-C and SIGTERM: state saved, exit code 130 or 143, no traceback; the same command again ends as if unstopped."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from datasets.ytvos import YouTubeVOSDataset
from tests.faults.conftest import slow
from tests.faults.counts import record
from tests.faults.programs import differing, files_in, start, steps_of, typed
from util.checkpoint_file import read_checkpoint
from util.interrupts import ECHO

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SEEN = "interrupted: finished work is kept; the same command goes on from there"


def stopped_quietly(running, code):
    assert set(running.codes()) == {code}, running.said
    assert SEEN in running.said and "Traceback" not in running.said, running.said


@pytest.mark.parametrize(
    ("number", "processes"), [(signal.SIGINT, 2), (signal.SIGTERM, 1), slow(signal.SIGINT, 1), slow(signal.SIGTERM, 2)]
)
def test_training_saves_the_step_it_is_in(number, processes, training, undisturbed, output, tmp_path):
    flags = (*training, "--checkpoint_steps", "0", "--num_workers", "1")
    whole, _ = undisturbed("main", flags, processes)
    running = start("main", flags, tmp_path / "said", processes)
    running.wait_for(lambda: len(steps_of(output)) > 0)
    running.send(number)
    stopped_quietly(running, CODES[number])
    assert read_checkpoint(output / "checkpoint.pth")["step"] == len(steps_of(output)) > 0
    start("main", flags, tmp_path / "said", processes).finished()
    assert differing(files_in(output), whole) == []
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    record(f"{name} in training", 1, 1, f"{SEEN} (exit code {CODES[number]}, the step is saved)")


@pytest.mark.parametrize("processes", [1, slow(2)])
@pytest.mark.parametrize("number", CODES)
def test_inference_keeps_what_is_finished(number, processes, segmenting, undisturbed, output, tmp_path):
    whole, _ = undisturbed("inference_ytvos", segmenting)
    running = start("inference_ytvos", (*segmenting, "--ngpu", processes), tmp_path / "said")
    running.wait_for(lambda: any(output.rglob("*.json")) or any(output.rglob("*.png")))
    running.send(number)
    stopped_quietly(running, CODES[number])
    start("inference_ytvos", segmenting, tmp_path / "said").finished()
    assert differing(files_in(output), whole) == []
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    record(f"{name} in inference", 1, 1, f"{SEEN} (exit code {CODES[number]})")


@pytest.mark.parametrize("program", ["main.py", "inference_ytvos.py"])
def test_while_pytorch_is_imported(program, tmp_path):
    running = typed([program], tmp_path / "said")
    running.wait_for(lambda: imports_torch(running.group))
    running.send(signal.SIGINT)
    stopped_quietly(running, 130)
    record("Ctrl-C while the program starts", 1, 1, SEEN)


def imports_torch(pid):
    """Whether the process has begun to: its libraries are mapped."""
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def test_a_second_wish_is_not_waited_for(training, tmp_path):
    """The loop waits for data that does not come; the first Ctrl-C waits with it."""
    running = start("main", training, tmp_path / "said", before=never_read)
    running.wait_for(lambda: NEVER in running.said)
    running.send(signal.SIGINT)
    time.sleep(ECHO + 0.2)
    assert all(process.is_alive() for process in running.processes)
    running.send(signal.SIGINT)
    stopped_quietly(running, 130)
    record("Ctrl-C twice, while data does not come", 1, 1, SEEN)


NEVER = "waits for ever"


def never_read():
    """In the program's process: no sample is ever read."""

    def read(*_):
        print(NEVER, file=sys.stderr, flush=True)
        threading.Event().wait()

    YouTubeVOSDataset.read = read
