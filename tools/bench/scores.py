"""Seconds of the DAVIS evaluation: the project's against the plain definition and the PyPI package vos-benchmark.

In turn over the same 480p label maps, with two processes each; and its peak memory on few and on many sequences.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from davis2017.evaluation import evaluate
from davis2017.ground_truth import GroundTruth, read_ground_truth
from davis2017.tasks import TASKS
from tools.bench.made_masks import list_sequences, make_results, make_set
from tools.bench.plain_scores import plain_scores

PROCESSES = 2
SEQUENCES, FRAMES = 8, 40
COPIES = 8  # of every sequence, for the memory on many
Program = Callable[[], float]  # mean (J + F) / 2 of a set


def measure(args: Namespace) -> dict[str, Any]:
    """Medians over `args.rounds` rounds, on the set "val" of the DAVIS folder `args.data` or on made sequences.

    Raises:
        InputError: the data cannot be read.
        RuntimeError: two programs differ in the score.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = folder / "results"
        if args.data is None:
            make_set(folder, results, SEQUENCES, FRAMES)
        truth = read_ground_truth(args.data or folder, "val", TASKS["unsupervised"])
        if args.data is not None:
            make_results(truth.folder, results, list(truth.frames))
        return {
            "what": "scores",
            "unit": f"seconds of {PROCESSES} processes",
            "sequences": len(truth.frames),
            "frames": sum(map(len, truth.frames.values())),
            "rounds": args.rounds,
            "unsupervised": compare(unsupervised(truth, results), args.rounds),
            "semi-supervised": compare(semi_supervised(truth, results), args.rounds),
            "peak_mib": {"few": peak_memory(truth, results, 1), "many": peak_memory(truth, results, COPIES)},
        }


def unsupervised(truth: GroundTruth, results: Path) -> dict[str, Program]:
    """The project's evaluation and the plain one."""
    return {
        "product": lambda: product(truth, results, "unsupervised"),
        "plain": lambda: plain_scores(truth.folder, results, list(truth.frames), PROCESSES),
    }


def semi_supervised(truth: GroundTruth, results: Path) -> dict[str, Program]:
    """The project's evaluation and, where it is installed, that of vos-benchmark."""
    programs = {"product": lambda: product(truth, results, "semi-supervised")}
    if importlib.util.find_spec("vos_benchmark") is None:
        print("vos-benchmark is not installed: its ratio is left out (pip install vos-benchmark)", file=sys.stderr)
        return programs
    from vos_benchmark.benchmark import benchmark

    folders = [str(truth.folder)], [str(results)]
    return programs | {"vos_benchmark": lambda: benchmark(*folders, False, PROCESSES, verbose=False)[0][0] / 100}


def product(truth: GroundTruth, results: Path, task: str, workers: int = PROCESSES) -> float:
    """The project's evaluation, checks included."""
    return evaluate(truth, [results], TASKS[task], workers).results[0].total.as_dict()["J&F-Mean"]


def compare(programs: Mapping[str, Program], rounds: int) -> dict[str, Any]:
    """Median seconds of each program; `ratio`: how many times as long as the product the other takes."""
    scores = {name: program() for name, program in programs.items()}  # also brings the files into the system's cache
    if np.ptp(list(scores.values())) > 1e-6:
        raise RuntimeError(f"the scores differ: {scores}")
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            seconds[name].append(time.perf_counter() - start)
    figures = {"J&F-Mean": scores["product"], **{name: median(of_rounds) for name, of_rounds in seconds.items()}}
    # Of each round, because both halves of a round meet the same load of the machine.
    ours = seconds.pop("product")
    ratios = [other / own for others in seconds.values() for own, other in zip(ours, others, strict=True)]
    return figures | ({"ratio": median(ratios), "ratios": ratios} if ratios else {})


def peak_memory(truth: GroundTruth, results: Path, copies: int) -> float:
    """Peak MiB of one process that scores every sequence `copies` times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for original, links in ((truth.folder, folder / "Annotations" / "480p"), (results, folder / "results")):
            links.mkdir(parents=True)
            for name in truth.frames:
                for copy in range(copies):
                    (links / f"{name}-{copy}").symlink_to((original / name).resolve())
        list_sequences(folder, [f"{name}-{copy}" for name in truth.frames for copy in range(copies)])
        command = [sys.executable, "-m", "tools.bench.scores", str(folder)]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)  # noqa: S603 (this script)
        return float(done.stdout)


def score_and_print_peak(folder: Path) -> None:
    """What `peak_memory` starts; the process's own peak, which rusage would mix with that of its parent."""
    product(read_ground_truth(folder, "val", TASKS["unsupervised"]), folder / "results", "unsupervised", workers=1)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


if __name__ == "__main__":
    score_and_print_peak(Path(sys.argv[1]))
