"""Tracking a whole video: as the inference programs do it, against the plain way (plain_inference.py), in turn.

A made video of 360×640, random weights, 2 threads; the plain way in float32, ours in `args.precision`. Both track from
a given mask of the middle frame; then both also choose the key frame among 10 candidates.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from tools.bench.plain_inference import PlainTracker, plain_operator
from tools.make_text_encoder import make_text_encoder
from tools.make_untrained import SENTENCES
from util.mask_io import write_mask
from util.settings import Settings

SIZE = (360, 640)
OBJECT = (slice(100, 220), slice(200, 380))
CAPTIONS = tuple(f"{sentence} number {number}" for number, sentence in enumerate(SENTENCES * 8))


def measure(args: Namespace) -> dict[str, Any]:
    """Seconds a frame and sentence (medians over `args.rounds`), and ratios (medians of the rounds' ratios)."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        make_text_encoder(Path(folder) / "text", SENTENCES)
        case = Case.prepare(args, Path(folder))
        runs = case.runs()
        times = {name: [] for name in runs}
        mask_iou = case.mask_iou()  # both ways run once before they are timed
        for _ in range(args.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
        pairs = len(case.video) * len(case.captions)
        return {
            "what": "inference",
            "backbone": args.backbone,
            "precision": args.precision,
            "mask_iou": mask_iou,
            "sentences": args.sentences,
            "frames": len(case.video),
            "threads": THREADS,
            **{f"{name}_seconds": median(values) / pairs for name, values in times.items()},
            "ratio": ratio(times["plain"], times["ours"]),
            "ratio_with_key_frame": ratio(times["plain_with_key_frame"], times["ours_with_key_frame"]),
            "key_frame_costs": ratio(times["ours_with_key_frame"], times["ours"]),
            "plain_gflop": case.plain_gflop(),
        }


@dataclass(frozen=True)
class Case:
    """The two trackers and what they track."""

    plain: PlainTracker
    ours: Tracker
    video: list[np.ndarray]
    captions: tuple[str, ...]
    given: KeyChoice
    mask: np.ndarray

    @classmethod
    def prepare(cls, args: Namespace, folder: Path) -> "Case":
        """Networks of one seed, and the video, whose frames are noise that moves."""
        settings = _settings(args, folder)
        rng = np.random.default_rng(0)
        ground = rng.integers(0, 256, (SIZE[0], SIZE[1] + 8 * args.frames, 3), np.uint8)
        video = [np.ascontiguousarray(ground[:, 8 * i : 8 * i + SIZE[1]]) for i in range(args.frames)]
        mask = np.zeros(SIZE, bool)
        mask[OBJECT] = True
        key = args.frames // 2
        write_mask(folder / "key.png", mask)
        plain, ours = (_network(settings) for _ in range(2))
        speed_up(ours, args.precision)
        return cls(
            PlainTracker(plain, SIZE[0]),
            Tracker(ours, settings.inference),
            video,
            CAPTIONS[: args.sentences],
            KeyChoice((key,), {key: folder / "key.png"}),
            mask,
        )

    def runs(self) -> dict[str, Callable[[], None]]:
        """What is timed."""
        return {
            "plain": lambda: self._plain(self.mask),
            "ours": lambda: self._ours(self.given),
            "plain_with_key_frame": lambda: self._plain(None),
            "ours_with_key_frame": lambda: self._ours(KeyChoice()),
        }

    def plain_gflop(self) -> float:
        """Of one tracked frame and sentence, the plain way."""
        with FlopCounterMode(display=False) as counter, plain_operator():
            self.plain.segment(self.video[0], self.captions[0], self.video[1])
        return counter.get_total_flops() / 1e9

    def mask_iou(self) -> float:
        """Mean IoU of both ways' masks over all frames and sentences, tracked from the given mask."""
        given = [self.given] * len(self.captions)
        ours = {(number, frame.index): frame.probability > 0.5 for number, frame in self.tracked(given)}
        ious = []
        for number, caption in enumerate(self.captions):
            for index, mask in self.plain.track(self.video, caption, self.mask).items():
                mine = ours[number, index].numpy()
                ious.append((mask & mine).sum() / (mask | mine).sum() if (mask | mine).any() else 1.0)
        return float(np.mean(ious))

    def _plain(self, mask: np.ndarray | None) -> None:
        for caption in self.captions:
            self.plain.track(self.video, caption, mask)

    def tracked(self, given: list[KeyChoice]) -> Iterator[tuple[int, TrackedFrame]]:
        """All sentences, as the inference programs do it."""
        return self.ours.track_together(self.video, self.captions, given)

    def _ours(self, given: KeyChoice) -> None:
        for _ in self.tracked([given] * len(self.captions)):
            pass


def _settings(args: Namespace, folder: Path) -> Settings:
    flags = ["--backbone", args.backbone, "--backbone_pretrained", "random", "--text_encoder", str(folder / "text")]
    return parse_settings([*flags, "--with_box_refine", "--binary", "--device", "cpu", "--short_side", str(SIZE[0])])


def _network(settings: Settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(settings).eval().requires_grad_(False)
