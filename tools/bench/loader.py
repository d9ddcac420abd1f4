"""Clips per second of one process: the project's loader against the plain one, in turn over the same clips."""

import time
from argparse import Namespace
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import torch

from datasets.transforms import TrainTransform, video_range
from datasets.workers import one_thread
from datasets.ytvos import YouTubeVOSDataset

from .plain_loader import PlainLoader

NUM_FRAMES = 5


def measure(args: Namespace) -> dict[str, Any]:
    """Medians over `args.rounds` rounds of `args.repeats` clips of the set at `args.data`, single-threaded.

    Raises:
        InputError: the data set cannot be read.
    """
    one_thread()
    dataset = YouTubeVOSDataset(args.data, NUM_FRAMES, TrainTransform(video_range()))
    loaders = {"product": dataset, "plain": PlainLoader(dataset)}
    clips = np.random.default_rng(0).integers(len(dataset), size=args.repeats).tolist()
    speeds: dict[str, list[float]] = {name: [] for name in loaders}
    for loader in loaders.values():  # files come into the system's cache, libraries load
        clips_per_second(loader, 0, clips)
    for epoch in range(1, args.rounds + 1):
        for name, loader in loaders.items():
            speeds[name].append(clips_per_second(loader, epoch, clips))
    # Of each round, because both halves of a round meet the same load of the machine.
    ratios = [ours / plain for ours, plain in zip(speeds["product"], speeds["plain"], strict=True)]
    return {
        "what": "loader",
        "unit": "clips/s of one process",
        "frames": NUM_FRAMES,
        "clips": args.repeats,
        "rounds": args.rounds,
        "threads": torch.get_num_threads(),
        **{name: median(of_rounds) for name, of_rounds in speeds.items()},
        "ratio": median(ratios),
        "ratios": ratios,
    }


def clips_per_second(loader: YouTubeVOSDataset | PlainLoader, epoch: int, clips: Sequence[int]) -> float:
    """Speed over samples (epoch, clip)."""
    start = time.perf_counter()
    for clip in clips:
        loader[epoch, clip]
    return len(clips) / (time.perf_counter() - start)
