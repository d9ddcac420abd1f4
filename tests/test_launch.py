"""Work shared out: in processes started here, in torchrun's, and as the programs a user starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from util import launch
from util.errors import InputError
from util.launch import run_sharded, share

HERE = Path(__file__).parents[1]


# ---- sharing out


@given(st.lists(st.integers(1, 1000)), st.integers(1, 9))
def test_every_item_is_in_one_share_and_shares_cost_about_the_same(costs, processes):
    items = list(enumerate(costs))
    shares = [share(items, lambda item: item[1], rank, processes) for rank in range(processes)]
    assert sorted(item for part in shares for item in part) == items
    totals = [sum(cost for _, cost in part) for part in shares]
    assert max(totals) - min(totals) <= max(costs, default=0)


def report(items, local_rank, *, progress):
    """Says what it was given."""
    return [f"{local_rank} {progress} {item}" for item in items]


def killed(items, local_rank, *, progress):
    if local_rank:
        os.kill(os.getpid(), signal.SIGKILL)
    return []


def refused(items, local_rank, *, progress):
    if local_rank:
        raise InputError("a checkpoint that does not fit")
    return []


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.parametrize("processes", [None, 1])
def test_one_process_is_this_one(no_gpu, processes):
    assert run_sharded(report, [1, 3, 2], int, processes) == ["0 True 1", "0 True 3", "0 True 2"]


@pytest.mark.parametrize("items", [[], [5]])
def test_no_more_processes_than_work(no_gpu, items):
    assert run_sharded(report, items, int, 8) == [f"0 True {item}" for item in items]


@pytest.mark.parametrize(("gpus", "wanted", "used"), [(0, None, 1), (0, 3, 3), (2, None, 2), (2, 3, 2), (2, 1, 1)])
def test_how_many_processes(monkeypatch, gpus, wanted, used):
    """At most one a GPU: the release's default is three."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert launch._available(wanted) == used


@pytest.mark.parametrize("wanted", [0, -1])
def test_no_process_is_refused(wanted):
    with pytest.raises(InputError, match=f"--ngpu {wanted}: at least one process"):
        run_sharded(report, [1], int, wanted)


@pytest.mark.parametrize(
    ("work", "said"), [(killed, "a process was killed"), (refused, "a checkpoint that does not fit")]
)
def test_two_processes_and_one_fails(no_gpu, work, said):
    """The processes start by importing this file: what it imports is what they take long for."""
    with pytest.raises(InputError, match=said):
        run_sharded(work, [1, 2], int, 2)


UNEQUAL = """
import os
from util.launch import run_sharded
def work(items, local_rank, *, progress):
    return [str(item) for item in items]
late = os.environ["RANK"] == "1"
said = run_sharded(work, [4, 3, 1] if late else [4, 3, 2, 1], int, None)
os.write(1, f"{said}\\n".encode())  # at once: two processes write here
"""


def test_processes_of_torchrun_share_what_the_first_one_found(tmp_path):
    """The second one starts late, when item 2 is finished already: 3 and 1 are still its own."""
    (tmp_path / "program.py").write_text(UNEQUAL)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    done = start(*torchrun, tmp_path / "program.py", PYTHONPATH=str(HERE))
    assert sorted(done.stdout.splitlines()) == ["None", "['4', '2', '3', '1']"], done.stderr


# ---- as a user starts them: exit codes, and the same zip however many processes there are


def start(*command, **variables):
    """The finished process; it has one thread, so that sums are the same everywhere."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def failed(process, *parts):
    """One clear line and nothing else."""
    assert process.returncode == 2, process.stderr
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert str(part) in line


def test_one_process_ngpu_and_torchrun_write_the_same_zip(program, one_thread, ytvos, inference_flags, tmp_path):
    import inference_ytvos  # here, for the sake of the processes above

    flags = (*inference_flags, "--ytvos_path", ytvos, "--key_candidates", "2")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "inference_ytvos.py")

    one = program(inference_ytvos.main, *flags, "--output_dir", tmp_path / "one")
    ngpu = program(inference_ytvos.main, *flags, "--output_dir", tmp_path / "ngpu", "--ngpu", "2")
    several = start(*torchrun, *flags, "--output_dir", tmp_path / "torchrun")
    assert (one.code, ngpu.code, several.returncode) == (0, 0, 0), (ngpu.err, several.stderr)
    for name, said in (("one", one.out), ("ngpu", ngpu.out), ("torchrun", several.stdout)):
        assert said == f"{tmp_path / name / 'valid.zip'}: 12 masks of 3 expressions\n"
        for place in ("valid.zip", "valid_key_frames.json"):
            assert (tmp_path / name / place).read_bytes() == (tmp_path / "one" / place).read_bytes()
    assert (one.err.count("loaded"), ngpu.err.count("loaded")) == (1, 0), "--ngpu 2 leaves the work to others"
    assert several.stderr.count("tensors loaded") == 2


def test_the_released_name_refuses_bad_input_in_one_line(ytvos, inference_flags, tmp_path):
    (ytvos / "valid" / "JPEGImages" / "street" / "00000.jpg").unlink()
    flags = (*inference_flags, "--ytvos_path", ytvos, "--output_dir", tmp_path / "output")
    failed(start("inference_frame_key.py", *flags), "street/00000.jpg")
    assert not (tmp_path / "output").exists()


def test_the_demo_refuses_bad_input_in_one_line(tmp_path):
    clip = tmp_path / "none.mp4"
    flags = ("--video", clip, "--text", "a ball", "--output", tmp_path / "output", "--resume", tmp_path / "none.pth")
    failed(start("demo.py", *flags), clip, "no such file")
