"""The same training command again goes on where its last checkpoint stands, instead of starting over."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from util.checkpoint_file import read_checkpoint
from util.errors import InputError
from util.files import first_few
from util.run_record import flat
from util.settings import Settings

CHECKPOINT = "checkpoint.pth"
# May differ between a run and its restart: they change nothing that is learned, or follow from --resume itself.
FREE = {"num_workers", "max_bad_samples", "use_checkpoint", "gradient_checkpointing"}
FREE |= {"backbone_pretrained", "text_pretrained"}


def going_on(settings: Settings) -> Settings:
    """The settings, with `--resume` of the output folder's own checkpoint where that is of the same command.

    A checkpoint in the output folder that was given as --resume is taken as it is. Raises InputError where the folder
    holds a training by other settings and no --resume says what to do with it.
    """
    folder, given = settings.run.output_dir, settings.run.resume
    own = folder / CHECKPOINT
    if not own.is_file() or (given and Path(given).resolve().parent == folder.resolve()):
        return settings
    differing = differences(read_checkpoint(own).get("args"), settings)
    if not differing:
        return replace(settings, run=replace(settings.run, resume=str(own)))
    if given:
        return settings
    raise InputError(
        f"{own} is of a training with other settings ({first_few(differing, 3)}): choose another --output_dir, "
        "or give --resume to go on from it with these"
    )


def differences(recorded: Any, settings: Settings) -> list[str]:
    """What of a checkpoint's `args` is not as in these settings, to read; flags that it does not know do not count."""
    if not isinstance(recorded, dict):
        return ["no record of its settings"]
    now = flat(settings)
    groups = (settings.model, settings.loss, settings.optimiser, settings.data)
    names = {name for group in groups for name in asdict(group)} | {"seed", "pretrained_weights"}
    names = {name for name in names - FREE if not name.endswith("_path")}
    return [
        f"--{name} {recorded[name]}, now {now[name]}"
        for name in sorted(names & recorded.keys())
        if _plain(recorded[name]) != _plain(now[name])
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
