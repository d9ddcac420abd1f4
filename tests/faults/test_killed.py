"""SIGKILL at random moments, then the same command again: the files are those of a run that was never killed."""

import shutil
import time

import pytest

from tests.faults.conftest import TRIES, moments, thorough
from tests.faults.counts import record
from tests.faults.programs import differing, files_in, start, typed


def killed_and_restarted(begin, moment, whole, output):
    """Names of files that are not as in the whole run, after a kill at `moment` and the same command again.

    begin() starts the program. One that has ended before the moment is begun anew and killed sooner.
    """
    while not begin().killed_after(moment):
        shutil.rmtree(output)
        moment *= 0.7
    begin().finished()
    wrong = differing(files_in(output), whole)
    shutil.rmtree(output)
    return wrong


@pytest.mark.parametrize(
    "case", [("main", "training", 1, 0.7), ("main", "training", 2, 0.3), ("inference_ytvos", "inference", 2, 1.0)]
)
def test_killed(case, request, undisturbed, output, tmp_path):
    program, what, processes, part = case  # the last: of all tries
    flags = request.getfixturevalue("training" if program == "main" else "segmenting")
    whole, seconds = undisturbed(program, flags, processes)
    assert whole
    tries = max(round(TRIES * part), 1)
    wrong = [
        killed_and_restarted(lambda: start(program, flags, tmp_path / "said", processes), moment, whole, output)
        for moment in moments(tries, processes, seconds)
    ]
    record(
        f"SIGKILL of {what}, {processes} process{'es' * (processes > 1)}, at a random moment; the same command again",
        len(wrong),
        wrong.count([]),
        "the run goes on from its last checkpoint" if program == "main" else "only unfinished expressions are computed",
    )
    assert not any(wrong), wrong


@thorough
@pytest.mark.parametrize("program", ["main", "inference_ytvos"])
def test_killed_as_typed(program, request, output, tmp_path):
    """Python's start and the imports included: torchrun's training, and inference that starts processes itself."""
    if program == "main":
        command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "main.py")
        flags = (*command, *request.getfixturevalue("training"))
    else:
        flags = ("inference_ytvos.py", *request.getfixturevalue("segmenting"), "--ngpu", "2")
    said, began = tmp_path / "said", time.monotonic()
    typed(flags, said).finished()
    whole, seconds = files_in(output), time.monotonic() - began
    shutil.rmtree(output)
    wrong = [
        killed_and_restarted(lambda: typed(flags, said), moment, whole, output) for moment in moments(4, 5, seconds)
    ]
    what = "training through torchrun" if program == "main" else "inference with --ngpu 2"
    record(f"SIGKILL of {what}, its start included; the same command again", 4, wrong.count([]), "it goes on")
    assert not any(wrong), wrong
