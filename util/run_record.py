"""What a run was: in `run.json` beside its results, and in each checkpoint's `args`."""

import json
import platform
import subprocess
import sys
from argparse import Namespace
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from util.errors import InputError
from util.files import atomic_write
from util.settings import ModelSettings, Settings

PACKAGES = ("torch", "torchvision", "transformers", "timm", "numpy", "opencv-python-headless")


LARGEST_SETTING = 8192  # channels, layers, queries of any network here

# What a checkpoint decides; where weights and text encoder come from is the run's own.
ARCHITECTURE = {field.name for field in fields(ModelSettings)} - {
    "backbone_pretrained",
    "use_checkpoint",
    "gradient_checkpointing",
    "text_encoder",
    "text_pretrained",
    "freeze_text_encoder",
    "cache_text",
    "num_classes",
    "tracking",
}


def flat(settings: Settings) -> dict[str, Any]:
    """All settings by name, plain values only: what a checkpoint keeps as `args`.

    Without where it goes on from, so that a run is the same however often it was stopped.
    """
    values = {name: value for group in asdict(settings).values() for name, value in group.items() if name != "resume"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def recorded_model(checkpoint: dict[str, Any], otherwise: ModelSettings) -> ModelSettings:
    """The network that a checkpoint says it holds (`args`: released Namespace or our flat dict), else `otherwise`.

    Where weights come from and the text encoder's folder are this run's own, never the file's.
    Raises InputError where the record cannot be a network's.
    """
    record = checkpoint.get("args")
    flags = record if isinstance(record, dict) else vars(record) if isinstance(record, Namespace) else {}
    if "no_rel_coord" in flags:
        flags = flags | {"rel_coord": not flags["no_rel_coord"]}
    recorded = {name: flags[name] for name in ARCHITECTURE & flags.keys()}
    for name, value in recorded.items():
        _refuse_odd(name, value, getattr(otherwise, name))
    if "class_embed.0.bias" in checkpoint["model"]:
        recorded["num_classes"] = len(checkpoint["model"]["class_embed.0.bias"])
    return replace(otherwise, **recorded)


def _refuse_odd(name: str, value: Any, usual: Any) -> None:
    """Refuse a recorded setting that is of another type than `usual`, or that would fill the memory."""
    fits = type(value) is type(usual) or (isinstance(usual, float) and type(value) is int)
    if not fits or (isinstance(value, int | float) and not 0 <= value <= LARGEST_SETTING):
        raise InputError(f"the checkpoint's record says {name} = {value!r}, which no network has; fetch it again")


def write_run_record(folder: Path, settings: Settings, clips_per_step: int) -> None:
    """Write `run.json`, and warn where the effective batch is not the recipe's."""
    recipe = settings.run.recipe_batch
    if recipe and recipe != clips_per_step:
        print(
            f"warning: {clips_per_step} clips a step, the recipe was made for {recipe}: "
            "change --batch_size, --accumulate or the number of processes, or expect other figures",
            file=sys.stderr,
        )
    record = {
        "command": sys.argv,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "clips_per_step": clips_per_step,
        "settings": flat(settings),
    }
    with atomic_write(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1))


def commit() -> str | None:
    """The checkout's commit, with `+changes` where files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head, changed = _said([*git, "rev-parse", "HEAD"]), _said([*git, "status", "--porcelain"])
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+changes" if changed else "")


def _said(command: list[str]) -> str:
    # No shell, and no word of the command comes from outside.
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 (git of this folder)
