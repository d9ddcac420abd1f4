"""The same command twice gives the same bytes on a CPU, for any number of data workers."""

import pytest
import torch

from tests.faults.conftest import TRIES
from tests.faults.counts import record
from util.checkpoint_file import read_checkpoint


def test_training_for_any_number_of_workers(training, undisturbed, tmp_path):
    """The workers' number is noted in `args`; all else is the same too."""
    runs = []
    for workers in (0, 1, 2):
        flags = (*training, "--num_workers", workers)
        runs.append(undisturbed("main", flags)[0])
        if workers == 2 or TRIES > 3:
            assert undisturbed("main", flags)[0] == runs[-1]
    for name in ("steps.jsonl", "log.txt"):
        assert runs[0][name] == runs[1][name] == runs[2][name]
    states = []
    for run in runs:
        (tmp_path / "checkpoint.pth").write_bytes(run["checkpoint.pth"])
        states.append(read_checkpoint(tmp_path / "checkpoint.pth"))
    assert [state["args"].pop("num_workers") for state in states] == [0, 1, 2]
    assert same(states[0], states[1]) and same(states[0], states[2])
    record("the same training twice, with 0, 1 and 2 data workers", 3, 3, "the same bytes")


@pytest.mark.parametrize("processes", [1, 2])
def test_inference(processes, segmenting, undisturbed):
    first, second = (undisturbed("inference_ytvos", segmenting, processes)[0] for _ in range(2))
    assert first == second
    record("the same inference twice, in 1 and 2 processes", 1, 1, "the same bytes")


def same(one, other):
    """Whether nested values are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
