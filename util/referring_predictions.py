"""A network on samples of A2D-Sentences, JHMDB-Sentences or RefCOCO/+/g → every query's mask, as COCO's results."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datasets.a2d import A2DDataset
from datasets.jhmdb import JHMDBDataset
from datasets.refexp import RefExpDataset
from datasets.sample import RawClip
from datasets.workers import one_thread
from models.annotated_frame import AllQueries, AnnotatedFrameSegmenter, AnnotatedFrameTracker
from models.tf2 import TF2
from util.coco_rle import encoded_masks
from util.errors import InputError
from util.referring_metrics import ImageId
from util.settings import Settings

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
    """All queries of the samples `indices`, in their order, in COCO's format of results.

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
        predictions += as_coco(clip.image_id, answer)
    return predictions


def as_coco(image_id: ImageId, answer: AllQueries) -> list[Prediction]:
    """One entry a query."""
    codes = encoded_masks(answer.masks.cpu().numpy())
    return [
        {"image_id": image_id, "category_id": 1, "segmentation": code, "score": score}
        for code, score in zip(codes, answer.scores.tolist(), strict=True)
    ]


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
