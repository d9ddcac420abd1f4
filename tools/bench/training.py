"""Training steps: as main.py does them, in float32 and in bfloat16, against the plain way, in turn.

A clip of 5 frames of 288×512 with its references, a text encoder of roberta-base's size that is frozen, AdamW; made
data, random weights. The plain way (plain_training.py) also encodes sentences in every step, and has AdamW tensor by
tensor. Memory is the peak of a process that makes two steps: the second has the optimiser's state.
"""

import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.optim import AdamW
from torch.utils.flop_counter import FlopCounterMode
from transformers import RobertaConfig

from models import build_model
from models.channels_last import convolve_channels_last
from models.criterion import Criterion
from models.tf2 import TF2
from opts import parse_settings
from tools.bench.operator import THREADS, ratio
from tools.bench.own_process import peak_gib
from tools.bench.peak import float32_peak, matrix_peaks
from tools.bench.plain_training import plain_training
from util.memory import keep_freed_memory, return_freed_memory
from util.optimiser import build_optimiser
from util.structures import Clips, Target, Tokens

SIZE = (5, 288, 512)  # frames, height, width
OBJECT = (slice(100, 200), slice(200, 300))
CACHED = "--cache_text"
FLAGS = {"plain": (), "fp32": (CACHED,), "bf16": (CACHED,), "checkpointing": (CACHED, "--gradient_checkpointing")}
TOKENS = Tokens.padded([[0, *range(100, 110), 2]])


@dataclass(frozen=True)
class Trainee:
    """A network, its criterion and its optimiser."""

    network: TF2
    criterion: Criterion
    optimiser: AdamW

    @classmethod
    def build(cls, backbone: str, way: str) -> "Trainee":
        """The network of the seed; what is plain of it stays so in all its steps."""
        flags = ["--backbone", backbone, "--backbone_pretrained", "random", "--with_box_refine", "--binary"]
        flags += ["--text_encoder_pretrained", "random", "--freeze_text_encoder", *FLAGS[way]]
        with tempfile.TemporaryDirectory() as folder:
            RobertaConfig(max_position_embeddings=514, type_vocab_size=1).save_pretrained(folder)
            settings = parse_settings([*flags, "--text_encoder", folder])
            torch.manual_seed(0)
            model, criterion, _ = build_model(settings)
        if way != "plain":
            convolve_channels_last(model)
        return cls(model.train(), criterion, build_optimiser(model, settings.optimiser, fused=way != "plain"))

    def step(self, clip: Clips, target: Target, dtype: torch.dtype | None = None) -> float:
        """One step on a clip that is its own reference; its loss."""
        with torch.autocast("cpu", dtype) if dtype else nullcontext():
            output = self.network(clip, TOKENS, clip)
        loss = self.criterion.total(self.criterion(output, [target]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.1)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return float(loss.detach())


def measure(args: Namespace) -> dict[str, Any]:
    """Seconds a step (medians over `args.rounds`), ratios (medians of the rounds' ratios), and peaks of memory."""
    torch.set_num_threads(THREADS)
    peak_memory = {f"{way}_peak_gib": peak_gib(two_steps, args.backbone, way) for way in FLAGS}
    keep_freed_memory()
    clip, target = made_clip()
    plain, ours = (Trainee.build(args.backbone, way) for way in ("plain", "fp32"))
    runs: dict[str, Callable[[], float]] = {
        "plain": partial(plain.step, clip, target),
        "fp32": partial(ours.step, clip, target),
        "bf16": partial(ours.step, clip, target, torch.bfloat16),
    }
    gflop = _gflop(runs["plain"])
    times = _take_turns(runs, args.rounds)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    peaks = matrix_peaks()
    return {
        "what": "training",
        "backbone": args.backbone,
        "threads": THREADS,
        **{f"{name}_seconds": value for name, value in seconds.items()},
        "ratio_fp32": ratio(times["plain"], times["fp32"]),
        "ratio_bf16": ratio(times["plain"], times["bf16"]),
        **peak_memory,
        "plain_gflop": gflop,
        **peaks,
        "fp32_share_of_peak": gflop / seconds["fp32"] / float32_peak(peaks),
        "bf16_share_of_peak": gflop / seconds["bf16"] / peaks["matmul_bfloat16_gflop_per_s"],
    }


def _take_turns(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way's steps; one step of each went before, of the plain way where its work was counted."""
    for name in ("fp32", "bf16"):
        runs[name]()
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            with _as_is(name):
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return times


def two_steps(backbone: str, way: str) -> None:
    """What a process does whose memory is measured; `way` is one of FLAGS."""
    (return_freed_memory if way == "checkpointing" else keep_freed_memory)()
    trainee = Trainee.build(backbone, way)
    clip, target = made_clip()
    with _as_is(way):
        for _ in range(2):
            trainee.step(clip, target, torch.bfloat16 if way == "bf16" else None)


def _as_is(way: str) -> AbstractContextManager[None]:
    return plain_training() if way == "plain" else nullcontext()


def made_clip() -> tuple[Clips, Target]:
    """A clip of noise and where its object is."""
    frames, height, width = SIZE
    torch.manual_seed(0)
    masks = torch.zeros(SIZE, dtype=torch.bool)
    masks[(slice(None), *OBJECT)] = True
    y, x = OBJECT
    box = [(x.start + x.stop) / 2 / width, (y.start + y.stop) / 2 / height]
    box += [(x.stop - x.start) / width, (y.stop - y.start) / height]
    target = Target(torch.tensor(0), torch.tensor([box] * frames), masks, torch.ones(frames, dtype=torch.bool))
    return Clips.unpadded(torch.randn(1, frames, 3, height, width)), target


def _gflop(step: Callable[[], float]) -> float:
    """Of one plain step, forward and backward."""
    with FlopCounterMode(display=False) as counter, plain_training():
        step()
    return counter.get_total_flops() / 1e9
