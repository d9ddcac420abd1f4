"""Train, or with --eval evaluate: `python main.py --dataset_file ytvos --binary --with_box_refine --output_dir DIR …`.

Several processes: `torchrun --nproc_per_node N main.py …`. Flags may come from a file: `main.py @recipe.txt`.
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals
    from util.repeatable_sums import repeat_sums

    leave_on_signals()
    repeat_sums()

import os
import random
import sys

import numpy as np
import torch

from datasets import build_dataset
from engine import Trainer
from models import build_model
from opts import get_args_parser, parse_settings
from util.checkpoint import load_weights
from util.claim import claimed
from util.distributed import joined_processes, pick_device, rank
from util.errors import exit_on_input_error
from util.memory import keep_freed_memory, return_freed_memory
from util.referring_evaluation import evaluation_in_training, run_evaluation
from util.restart import going_on
from util.run_record import write_run_record
from util.settings import Settings


def main() -> int:
    """The whole run."""
    settings = parse_settings(parser=get_args_parser(__doc__))
    with joined_processes(settings.run.device):
        return run_evaluation(settings) if settings.run.eval else train(settings)


def train(settings: Settings) -> int:
    """Train as the settings say; with `--resume` from there, with `--pretrained_weights` from those weights.

    What the same command has done before it was stopped is not done again.
    """
    with claimed(settings.run.output_dir):
        trainer = trainer_of(going_on(settings))
        trainer.fit(evaluation_in_training(settings))
    return 0


def trainer_of(settings: Settings) -> Trainer:
    """The run, where it begins or goes on; `run.json` says what it is."""
    seed_everything(settings.run.seed)
    device = pick_device(settings.run.device, int(os.environ.get("LOCAL_RANK", "0")))
    small = settings.model.gradient_checkpointing or device.type != "cpu"
    (return_freed_memory if small else keep_freed_memory)()
    model, criterion, _ = build_model(settings)
    dataset = build_dataset(settings, "train")
    start = settings.run.pretrained_weights
    if start and not settings.run.resume:
        print(load_weights(model, start, finetune=True), file=sys.stderr)
    trainer = Trainer(settings, (model, criterion), dataset, device)
    if rank() == 0:
        write_run_record(settings.run.output_dir, settings, trainer.plan.clips_per_step)
    return trainer


def seed_everything(seed: int) -> None:
    """For initialisation, the same in all processes; the loop seeds each step and process by itself."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


if __name__ == "__main__":
    exit_on_input_error(main)
