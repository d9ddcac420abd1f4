"""Scores of a network on A2D-Sentences, JHMDB-Sentences and RefCOCO/+/g: by --eval, a script, or after each epoch."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist

from datasets import a2d, build_dataset, jhmdb, refexp
from models.tf2 import TF2
from models.tracker import load_tracker
from opts import get_args_parser, parse_settings
from util.claim import claimed
from util.distributed import joined_processes, rank, world_size
from util.errors import InputError
from util.files import atomic_write, first_few
from util.referring_metrics import GroundTruth, ImageId, ReferringScores, read_ground_truth, referring_scores
from util.referring_predictions import SingleFrameSet, predict, write_set_overview
from util.settings import Settings

WHOLE_VIDEOS = ("key_frames", "key_masks", "clip_frames", "overwrite")  # flags of other data sets


# ---- programs


def evaluation_program(dataset_file: str, about: str) -> int:
    """An inference script's whole run on its data set; `about` is its docstring, for --help.

    Raises InputError where anything given is wrong.
    """
    parser = get_args_parser(about, training=False)
    parser.set_defaults(dataset_file=dataset_file)
    settings = parse_settings(parser=parser)
    if settings.data.dataset_file != dataset_file:
        other = settings.data.dataset_file
        raise InputError(f"this script evaluates {dataset_file}; for {other}: main.py --dataset_file {other} --eval")
    with joined_processes(settings.run.device):
        return run_evaluation(settings)


def run_evaluation(settings: Settings) -> int:
    """Evaluate the checkpoint `--resume` on the set `--dataset_file`; prints and writes its scores.

    Every process of torch.distributed calls it. Raises InputError where anything given is wrong.
    """
    _report_inert(settings)
    dataset = build_dataset(settings, "val")
    truth = read_ground_truth(ground_truth_file(settings))
    with claimed(settings.run.output_dir) as output:
        tracker = load_tracker(settings, int(os.environ.get("LOCAL_RANK", "0")))
        networks = tracker.segmenter.network, tracker.key_segmenter.network
        scores = evaluate(networks[0], dataset, truth, settings, key_network=networks[1])
        if scores is not None:
            path = output / f"scores_{settings.data.dataset_file}.json"
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(scores.as_dict(), indent=1))
            print(table(scores))
            print(f"{path}: of {scores.images} images, {scores.without_prediction} without a prediction")
    return 0


def evaluation_in_training(settings: Settings) -> Callable[[TF2], dict[str, float]] | None:
    """What evaluates a network after each epoch, in every process: network → `test_…` scores, {} but in the first.

    None for sets that are evaluated on whole videos, and, said once, where the ground truth is not there. Raises
    InputError where it is, and is malformed.
    """
    name = settings.data.dataset_file
    names = refexp.NAMES if name == "all" else (name,) if name in ("a2d", *refexp.NAMES) else ()
    parts = [replace(settings, data=replace(settings.data, dataset_file=part)) for part in names]
    missing = [str(ground_truth_file(part)) for part in parts if not ground_truth_file(part).is_file()]
    if missing and rank() == 0:
        print(f"note: no scores after epochs: {first_few(missing)} not found", file=sys.stderr)
    if missing or not parts:
        return None
    sets = [(part, build_dataset(part, "val"), read_ground_truth(ground_truth_file(part))) for part in parts]

    def after_epoch(network: TF2) -> dict[str, float]:
        record = {}
        for part, dataset, truth in sets:
            scores = evaluate(network, dataset, truth, part)
            prefix = f"test_{part.data.dataset_file}_" if len(sets) > 1 else "test_"
            record |= {f"{prefix}{key}": value for key, value in (scores.as_dict() if scores else {}).items()}
        return record

    return after_epoch


def ground_truth_file(settings: Settings) -> Path:
    """The COCO file that the set `--dataset_file`, one of those evaluated here, is scored against."""
    data = settings.data
    if data.dataset_file == "a2d":
        return data.a2d_path / a2d.GROUND_TRUTH
    if data.dataset_file == "jhmdb":
        return data.jhmdb_path / jhmdb.GROUND_TRUTH
    return data.coco_path / data.dataset_file / f"instances_{data.dataset_file}_val.json"


def table(scores: ReferringScores) -> str:
    """The scores to read, one a line."""
    return "\n".join(f"{name:28} {value:8.4f}" for name, value in scores.as_dict().items() if isinstance(value, float))


def _report_inert(settings: Settings) -> None:
    """One line for flags that were given and are of use to other data sets alone."""
    given = [f"--{name}" for name in WHOLE_VIDEOS if getattr(settings.inference, name)]
    given += ["--key_frame_selector"] * (settings.inference.key_frame_selector != "argmax")
    if given and rank() == 0:
        print(f"note: no effect: {', '.join(given)}: for sets of whole videos", file=sys.stderr)
    if (settings.run.ngpu or 1) > 1 and world_size() == 1:
        count = settings.run.ngpu
        print(f"note: one process; for {count} of them: torchrun --nproc_per_node {count} …", file=sys.stderr)


# ---- evaluation


def evaluate(
    network: TF2,
    dataset: SingleFrameSet,
    ground_truth: GroundTruth,
    settings: Settings,
    *,
    key_network: TF2 | None = None,
) -> ReferringScores | None:
    """Predict every sample, write `{output_dir}/predictions_{dataset_file}.json`, and score it.

    Every process of torch.distributed calls it and takes an equal share; the first one alone writes and gets the
    scores, the others None. `key_network` finds key frames instead of `network`, which is left in evaluation mode.

    Raises:
        InputError: in every process, where a sample cannot be read or the ground truth does not hold it.
    """
    names = ids_in(ground_truth, dataset)
    share = np.array_split(np.arange(len(dataset)), world_size())[rank()].tolist()
    try:
        own = predict(network, dataset, settings, share, progress=rank() == 0, key_network=key_network)
    except InputError as error:
        own = error  # raised below: the other processes wait for an answer
    parts = _gathered(own)
    for part in parts:
        if isinstance(part, InputError):
            raise part
    if rank() != 0:
        return None
    predictions = [entry | {"image_id": names[entry["image_id"]]} for part in parts for entry in part]
    path = settings.run.output_dir / f"predictions_{settings.data.dataset_file}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(predictions))
    if settings.inference.visualize:
        write_set_overview(dataset, settings)
    return referring_scores(ground_truth, predictions, str(path))


def ids_in(truth: GroundTruth, dataset: SingleFrameSet) -> dict[ImageId, ImageId]:
    """The data set's image ids → the ground truth's, which may write a frame of JHMDB as 2 or as 00002.

    Raises InputError where the ground truth lacks one.
    """
    names = {}
    for image_id in map(dataset.image_id, range(len(dataset))):
        spellings = (image_id, _with_long_frame(image_id))
        names[image_id] = next((spelling for spelling in spellings if spelling in truth.masks), None)
    missing = [str(image_id) for image_id, name in names.items() if name is None]
    if missing:
        raise InputError(
            f"{truth.source}: {len(missing)} of {len(names)} samples are not in it ({first_few(missing, 3)}): "
            "get list and ground truth of the same release"
        )
    return names


def _with_long_frame(image_id: ImageId) -> ImageId:
    stem, mark, frame = str(image_id).rpartition("_f_")
    return f"{stem}{mark}{frame:0>5}" if mark else image_id


def _gathered(value: Any) -> list[Any]:
    """Every process's value, in all of them."""
    values = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values
