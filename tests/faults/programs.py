"""The programs, run in processes of their own so that they can be killed: forked from one that has imported all.

Importing PyTorch takes longer than all that a tiny run does; what a user types is run too, by `typed`.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context, set_start_method
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENOUGH = 240.0  # seconds: after them a run hangs
IMPORTED = ["main", "inference_ytvos", "inference_davis", "matplotlib.backends.backend_agg", "matplotlib.figure"]
IMPORTED += ["tests.faults.no_garbage"]


class Running:
    """A program at work in one or more processes of one process group, and what it says."""

    def __init__(self, processes, said: Path) -> None:
        self.processes, self.file = processes, said
        self.group = processes[0].pid
        self.started = time.monotonic()

    @property
    def said(self) -> str:
        return self.file.read_text(errors="replace") if self.file.exists() else ""

    @property
    def errors(self) -> list[str]:
        """The lines that say what is wrong; a progress bar of a process that was killed may stand before them."""
        return re.findall(r"error: .*", self.said)

    def send(self, number: int) -> None:
        """A signal to the whole group, if there is still one."""
        with suppress(ProcessLookupError):
            os.killpg(self.group, number)

    def everyone(self) -> list[int]:
        """All processes, those in other groups too, which torchrun makes."""
        found = [self.group]
        for process in found:
            found += children(process)
        return found

    def killed_after(self, seconds: float) -> bool:
        """SIGKILL at that moment; whether it came before the program's end."""
        time.sleep(max(self.started + seconds - time.monotonic(), 0))
        alive = any(process.is_alive() for process in self.processes)
        for process in self.everyone():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.send(signal.SIGKILL)
        self.codes()
        return alive

    def wait_for(self, condition) -> None:
        """Until `condition()` holds; fails where the program ends before."""
        while not condition():
            assert time.monotonic() < self.started + ENOUGH and any(p.is_alive() for p in self.processes), self.said
            time.sleep(0.005)

    def codes(self) -> list[int]:
        """The processes' exit codes, minus a signal's number; fails where one hangs."""
        for process in self.processes:
            process.join(max(self.started + ENOUGH - time.monotonic(), 1))
        alive = [process for process in self.processes if process.is_alive()]
        self.send(signal.SIGKILL)
        assert not alive, f"hangs: {self.said}"
        return [process.exitcode for process in self.processes]

    def finished(self) -> "Running":
        """The same, when it has ended well."""
        assert set(self.codes()) == {0}, self.said
        return self


def start(program: str, flags: Sequence[object], said: Path, processes: int = 1, before=None) -> Running:
    """`program` (a module with a main) with a command line, forked; `processes`: as torchrun starts several.

    before: called in each process first; picklable
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    said.unlink(missing_ok=True)
    environment = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    started, group = [], 0
    for rank in range(processes):
        own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
        job = (program, list(map(str, flags)), own, str(said), group, before)
        process = context.Process(target=_run, args=job)
        process.start()
        started.append(process)
        group = group or process.pid
        with suppress(OSError):  # by both, parent and child: whoever is first
            os.setpgid(process.pid, group)
    return Running(started, said)


def _run(program, flags, environment, said, group, before) -> None:
    with suppress(OSError):
        os.setpgid(0, group)
    os.environ.update(environment)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    set_start_method(None, force=True)  # the system's own, not this server's
    import torch

    from util.errors import exit_on_input_error

    torch.set_num_threads(1)
    sys.argv = [program, *flags]
    if before:
        before()
    exit_on_input_error(import_module(program).main)


def children(pid: int) -> list[int]:
    """The processes that `pid` has started, by their ids; none where it has ended."""
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


class _Typed(subprocess.Popen):
    """A Popen with the few words of a multiprocessing.Process that Running uses."""

    exitcode = property(lambda self: self.returncode)

    def is_alive(self) -> bool:
        return self.poll() is None

    def join(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(seconds)


def typed(command: Sequence[object], said: Path) -> Running:
    """The same as a user starts it: Python's start and all imports included."""
    with said.open("w") as out:
        return Running(
            [
                _Typed(
                    [sys.executable, *map(str, command)],
                    cwd=ROOT,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            ],
            said,
        )


def files_in(folder: Path, *, skip: Sequence[str] = ("tensorboard",)) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too: name → bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(skip)
    }


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names of the files that differ, or that only one has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def steps_of(output: Path) -> list[int]:
    """The steps that a training has logged in whole lines."""
    file = output / "steps.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line)["step"] for line in lines]
