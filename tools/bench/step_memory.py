"""Peak memory and time of training steps: the plain way, as by default, and with --gradient_checkpointing.

Each in a process of its own, whose peak is the measure: resnet50, T=5, 288×512, float32 on the CPU, two steps (the
second has the optimiser's state).
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from models import build_model
from opts import parse_settings
from tools.bench.plain_training import plain_training
from tools.make_text_encoder import make_text_encoder
from tools.make_untrained import SENTENCES
from util.memory import keep_freed_memory, return_freed_memory
from util.optimiser import build_optimiser
from util.structures import Clips, Target, Tokens

MODES = ("plain", "default", "checkpointing")


def measure(_: Namespace) -> dict[str, Any]:
    """Figures of all modes; `…_share` is the peak against that of the plain mode."""
    with tempfile.TemporaryDirectory() as folder:
        make_text_encoder(Path(folder) / "text", SENTENCES)
        figures = {mode: _in_own_process(mode, Path(folder) / "text") for mode in MODES}
    plain = figures["plain"]["peak_gib"]
    return figures | {f"{mode}_share": figures[mode]["peak_gib"] / plain for mode in MODES[1:]}


def _in_own_process(mode: str, text_encoder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tools.bench.step_memory", mode, str(text_encoder)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)  # noqa: S603 (this script)
    return json.loads(done.stdout.splitlines()[-1])


def run_steps(mode: str, text_encoder: str, steps: int = 2) -> dict[str, float]:
    """Train on one clip for `steps` steps; seconds a step and the process's peak."""
    flags = ["--backbone_pretrained", "random", "--with_box_refine", "--binary", "--freeze_text_encoder"]
    flags += ["--text_encoder", text_encoder] + ["--gradient_checkpointing"] * (mode == "checkpointing")
    settings = parse_settings(flags)
    (return_freed_memory if mode == "checkpointing" else keep_freed_memory)()
    model, criterion, _ = build_model(settings)
    optimiser = build_optimiser(model.train(), settings.optimiser)
    clip = Clips.unpadded(torch.randn(1, 5, 3, 288, 512))
    masks = torch.zeros(5, 288, 512, dtype=torch.bool)
    masks[:, 100:200, 200:300] = True
    target = Target(torch.tensor(0), torch.tensor([[0.5, 0.5, 0.2, 0.3]] * 5), masks, torch.ones(5, dtype=torch.bool))
    begin = time.monotonic()
    with plain_training() if mode == "plain" else nullcontext():
        for _ in range(steps):
            losses = criterion(model(clip, Tokens.padded([[0, 10, 20, 30, 2]]), clip), [target])
            criterion.total(losses).backward()
            optimiser.step()
            optimiser.zero_grad()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds_a_step": (time.monotonic() - begin) / steps, "peak_gib": peak}


if __name__ == "__main__":
    print(json.dumps(run_steps(*sys.argv[1:])))
