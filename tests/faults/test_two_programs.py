"""Two programs on one output folder: the second says so and stops, and the first is none the worse."""

import os
import signal

import pytest

from tests.faults.counts import record
from tests.faults.programs import differing, files_in, start, steps_of


@pytest.mark.parametrize("program", ["main", "inference_ytvos"])
def test_the_second_stops(program, request, undisturbed, output, tmp_path):
    flags = request.getfixturevalue("training" if program == "main" else "segmenting")
    whole, _ = undisturbed(program, flags)
    first = start(program, flags, tmp_path / "first")
    first.wait_for(lambda: steps_of(output) or any(output.rglob("*.png")))
    os.killpg(first.group, signal.SIGSTOP)  # it is at work for as long as this takes
    second = start(program, flags, tmp_path / "second")
    assert second.codes() == [2]
    (line,) = second.errors
    assert line.startswith(f"error: {output}: another program (process {first.group}) writes there"), second.said
    os.killpg(first.group, signal.SIGCONT)
    first.finished()
    assert differing(files_in(output), whole) == []
    record("two programs on one output folder", 1, 1, "error: …: another program (process …) writes there: wait …")


def test_what_a_killed_program_left_is_swept_away(training, output, tmp_path):
    """But not from a folder that another program may be at work in."""
    own = output / ".checkpoint.123-0123abcd.pth"
    others = output / "other" / ".masks.123-0123abcd"
    for file in (own, others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half")
    (output / "other" / ".lock").touch()
    start("main", (*training, "--max_steps", "1"), tmp_path / "said").finished()
    assert not own.exists() and others.exists()
