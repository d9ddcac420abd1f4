"""A network on samples of A2D-Sentences, JHMDB-Sentences or RefCOCO/+/g → every query's mask, as COCO's results."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datasets.a2d import A2DDataset
from datasets.jhmdb import JHMDBDataset
from datasets.refexp import RefExpDataset
from datasets.sample import RawClip
from datasets.workers import one_thread
from models.annotated_frame import AllQueries, AnnotatedFrameSegmenter, AnnotatedFrameTracker
from models.propagation import TrackedFrame
from models.tf2 import TF2
from util.coco_rle import encoded_masks
from util.errors import InputError
from util.files import atomic_write
from util.referring_metrics import ImageId
from util.settings import Settings
from util.track_pictures import OVERVIEW_FRAMES, draw_sightings, spread_frames, write_sheet
from util.track_record import Mark, Sighting

SingleFrameSet = A2DDataset | JHMDBDataset | RefExpDataset
Prediction = dict[str, Any]  # {"image_id", "category_id": 1, "segmentation": RLE with text counts, "score"}


def predict(
    network: TF2,
    dataset: SingleFrameSet,
    settings: Settings,
    indices: Sequence[int],
    progress: bool = False,
    *,
    key_network: TF2 | None = None,
) -> list[Prediction]:
    """All queries of the samples `indices`, in their order, in COCO's format of results; with --visualize pictures too.

    Raises:
        InputError: a sample cannot be read; the message names its file.
    """
    threshold = settings.inference.threshold
    segmenter = AnnotatedFrameSegmenter(network, threshold)
    key_segmenter = AnnotatedFrameSegmenter(key_network, threshold) if key_network else segmenter
    tracker = AnnotatedFrameTracker(segmenter, key_segmenter, network.tracking and settings.model.tracking)
    clips = read_ahead(dataset, indices, settings.data.num_workers)
    predictions = []
    for clip in tqdm(clips, total=len(indices), unit="sample", disable=not progress):
        try:
            answer = tracker.answer(clip)
        except InputError as error:
            raise InputError(f"{clip.name}: {error}") from error
        predictions += as_coco(clip.image_id, answer.result)
        if settings.inference.visualize:
            write_picture(clip, answer, picture_file(settings, clip.image_id))
    return predictions


def as_coco(image_id: ImageId, answer: AllQueries) -> list[Prediction]:
    """One entry a query."""
    codes = encoded_masks(answer.masks.cpu().numpy())
    return [
        {"image_id": image_id, "category_id": 1, "segmentation": code, "score": score}
        for code, score in zip(codes, answer.scores.tolist(), strict=True)
    ]


def picture_file(settings: Settings, image_id: ImageId) -> Path:
    """Where --visualize puts a sample's picture."""
    name = re.sub(r"[^\w.-]", "_", str(image_id))
    return settings.run.output_dir / f"images_{settings.data.dataset_file}" / f"{name}.png"


def write_picture(clip: RawClip, answer: TrackedFrame, file: Path) -> None:
    """The annotated frame with the best query's mask, box and point."""
    sighting = Sighting(clip.caption, answer.score, answer.is_key, Mark.of(answer.result))
    mask = answer.probability.cpu().numpy() > 0
    picture = draw_sightings(clip.frames[clip.annotated or 0], [mask], [sighting], str(clip.image_id))
    with atomic_write(file) as temporary:
        Image.fromarray(picture).save(temporary)


def write_set_overview(dataset: SingleFrameSet, settings: Settings) -> None:
    """One picture of samples spread over the set, of those whose pictures are on this machine."""
    spread = spread_frames(len(dataset), OVERVIEW_FRAMES)
    files = [picture_file(settings, dataset.image_id(index)) for index in spread]
    pictures = [np.array(Image.open(file)) for file in files if file.is_file()]
    if pictures:
        write_sheet(pictures, files[0].parent.with_name(f"{files[0].parent.name}_overview.png"))


class _Reader(Dataset):
    """Raw clips; what is wrong comes as a value, because a loader's worker would wrap it in its own traceback."""

    def __init__(self, dataset: SingleFrameSet) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> RawClip | InputError:
        try:
            return self.dataset.read(index, np.random.default_rng(index))  # evaluation draws nothing
        except InputError as error:
            return error


def read_ahead(dataset: SingleFrameSet, indices: Sequence[int], workers: int) -> Iterator[RawClip]:
    """The samples in order, read in other processes while the network is busy. Raises InputError."""
    workers = min(workers, os.cpu_count() or 1, len(indices))
    clips = DataLoader(
        _Reader(dataset), batch_size=None, sampler=indices, num_workers=workers, worker_init_fn=one_thread
    )
    for clip in clips:
        if isinstance(clip, InputError):
            raise clip
        yield clip
