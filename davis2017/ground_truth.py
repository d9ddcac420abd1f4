"""The ground truth of a set, in a DAVIS folder: ImageSets/2017/<set>.txt names the sequences (spec §5)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from davis2017.tasks import Task
from util.errors import InputError
from util.names import is_safe_name

RESOLUTION = "480p"


@dataclass(frozen=True)
class GroundTruth:
    """Where it was found, and of every sequence of the set the file names of its frames, in order; none: no truth."""

    folder: Path
    frames: Mapping[str, tuple[str, ...]]


def read_ground_truth(davis_path: str | os.PathLike, set_name: str, task: Task) -> GroundTruth:
    """List the set's sequences and frames.

    Raises:
        InputError: this is no DAVIS folder, or it lacks the set or the task's annotations.
    """
    root = Path(davis_path)
    sequences = _read_set(root, set_name)
    folders = [root / name / RESOLUTION for name in task.folders]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise InputError(f"{root}: neither {folders[0]} nor {folders[1]} is there; the ground truth is needed")
    return GroundTruth(folder, {name: png_names(folder / name) for name in sequences})


def png_names(folder: Path) -> tuple[str, ...]:
    """Names of the PNG files in `folder` that are not hidden, sorted; none where there is no such folder."""
    return tuple(sorted(path.name for path in folder.glob("[!.]*.png")))


def _read_set(root: Path, set_name: str) -> list[str]:
    path = root / "ImageSets" / "2017" / f"{set_name}.txt"
    try:
        sequences = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a list of sequences ({error}); get the data set's own file") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); --davis_path is the folder DAVIS itself, with ImageSets in it"
        ) from error
    if not sequences:
        raise InputError(f"{path}: names no sequence")
    for name in sequences:
        if not is_safe_name(name):
            raise InputError(f"{path}: {name!r} is not a sequence's name; get the data set's own file")
    return list(dict.fromkeys(sequences))
