"""Tracking a whole video: as the inference programs do it, against the plain way (plain_inference.py), in turn.

A made video of 360×640, random weights, 2 threads; the plain way in float32, ours in `args.precision`. Both track from
a given mask of the middle frame; then both also choose the key frame among 10 candidates.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from datasets.key_frames import KeyChoice
from models import build_network
from models.inference_layers import speed_up
from models.propagation import TrackedFrame
from models.tracker import Tracker
from opts import parse_settings
from tools.bench.operator import THREADS, ratio
from tools.bench.own_process import peak_gib
from tools.bench.peak import float32_peak, matrix_peaks
from tools.bench.plain_inference import PlainTracker, plain_operator
from tools.make_text_encoder import make_text_encoder
from tools.make_untrained import SENTENCES
from util.mask_io import write_mask
from util.settings import Settings

SIZE = (360, 640)
OBJECT = (slice(100, 220), slice(200, 380))
CAPTIONS = tuple(f"{sentence} number {number}" for number, sentence in enumerate(SENTENCES * 8))


def measure(args: Namespace) -> dict[str, Any]:
    """Seconds a frame and sentence (medians over `args.rounds`), ratios (medians of the rounds' ratios), memory."""
    torch.set_num_threads(THREADS)
    peak_memory = {f"{way}_peak_gib": peak_gib(run_once, args, way) for way in ("plain", "ours")}
    case = Case.prepare(args)
    runs = case.runs()
    mask_iou = case.mask_iou()  # both ways run once before they are timed
    times = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    seconds = {name: median(values) / len(case.video) / len(case.captions) for name, values in times.items()}
    gflop, peaks = case.plain_gflop(), matrix_peaks()
    peak = float32_peak(peaks) if args.precision == "fp32" else peaks["matmul_bfloat16_gflop_per_s"]
    return {
        "what": "inference",
        "backbone": args.backbone,
        "precision": args.precision,
        "sentences": args.sentences,
        "frames": args.frames,
        "threads": THREADS,
        "mask_iou": mask_iou,
        **{f"{name}_seconds": value for name, value in seconds.items()},
        "ratio": ratio(times["plain"], times["ours"]),
        "ratio_with_key_frame": ratio(times["plain_with_key_frame"], times["ours_with_key_frame"]),
        "key_frame_costs": ratio(times["ours_with_key_frame"], times["ours"]),
        **peak_memory,
        "plain_gflop": gflop,
        **peaks,
        "plain_share_of_peak": gflop / seconds["plain"] / float32_peak(peaks),
        "share_of_peak": gflop / seconds["ours"] / peak,
    }


def run_once(args: Namespace, way: str) -> None:
    """What a process does whose memory is measured; the plain way needs as much for one sentence and two frames."""
    if way == "plain":
        args = Namespace(**vars(args) | {"sentences": 1, "frames": 2})
    Case.prepare(args).runs()[f"{way}_with_key_frame"]()


@dataclass(frozen=True)
class Case:
    """What is tracked, by two trackers that are built when first used."""

    args: Namespace
    video: list[np.ndarray]
    captions: tuple[str, ...]
    mask: np.ndarray

    @classmethod
    def prepare(cls, args: Namespace) -> "Case":
        """The video's frames are noise that moves."""
        rng = np.random.default_rng(0)
        ground = rng.integers(0, 256, (SIZE[0], SIZE[1] + 8 * args.frames, 3), np.uint8)
        video = [np.ascontiguousarray(ground[:, 8 * i : 8 * i + SIZE[1]]) for i in range(args.frames)]
        mask = np.zeros(SIZE, bool)
        mask[OBJECT] = True
        return cls(args, video, CAPTIONS[: args.sentences], mask)

    @cached_property
    def plain(self) -> PlainTracker:
        """Ours and this have the same random weights."""
        return PlainTracker(_network(self.args)[0], SIZE[0])

    @cached_property
    def ours(self) -> Tracker:
        """As the inference programs have it."""
        network, settings = _network(self.args)
        speed_up(network, self.args.precision)
        return Tracker(network, settings.inference)

    def runs(self) -> dict[str, Callable[[], None]]:
        """What is timed."""
        return {
            "plain": lambda: self._plain(self.mask),
            "ours": lambda: self._ours(given=True),
            "plain_with_key_frame": lambda: self._plain(None),
            "ours_with_key_frame": lambda: self._ours(given=False),
        }

    def plain_gflop(self) -> float:
        """Of one tracked frame and sentence, the plain way."""
        with FlopCounterMode(display=False) as counter, plain_operator(), torch.no_grad():
            self.plain.segment(self.video[0], self.captions[0], self.video[1])
        return counter.get_total_flops() / 1e9

    def mask_iou(self) -> float:
        """Mean IoU of both ways' masks over all frames and sentences, tracked from the given mask."""
        ours = {(number, frame.index): frame.probability > 0.5 for number, frame in self.tracked(given=True)}
        ious = []
        for number, caption in enumerate(self.captions):
            for index, mask in self.plain.track(self.video, caption, self.mask).items():
                mine = ours[number, index].numpy()
                ious.append((mask & mine).sum() / (mask | mine).sum() if (mask | mine).any() else 1.0)
        return float(np.mean(ious))

    def _plain(self, mask: np.ndarray | None) -> None:
        for caption in self.captions:
            self.plain.track(self.video, caption, mask)

    def tracked(self, *, given: bool) -> Iterator[tuple[int, TrackedFrame]]:
        """All sentences, as the inference programs do it, from the mask that is given or from chosen key frames."""
        with tempfile.TemporaryDirectory() as folder:
            path, key = Path(folder) / "key.png", len(self.video) // 2
            write_mask(path, self.mask)
            choice = KeyChoice((key,), {key: path}) if given else KeyChoice()
            yield from self.ours.track_together(self.video, self.captions, [choice] * len(self.captions))

    def _ours(self, *, given: bool) -> None:
        for _ in self.tracked(given=given):
            pass


def _network(args: Namespace) -> tuple[torch.nn.Module, Settings]:
    flags = ["--backbone", args.backbone, "--backbone_pretrained", "random", "--with_box_refine", "--binary"]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        make_text_encoder(Path(folder), CAPTIONS)
        settings = parse_settings([*flags, "--text_encoder", folder, "--device", "cpu", "--short_side", str(SIZE[0])])
        network = build_network(settings).eval().requires_grad_(False)
        network.tokenizer(CAPTIONS)  # read now: the folder goes
    return network, settings
