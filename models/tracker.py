"""A sentence and a video → the object's mask in every frame: key frame, then propagation; or clips without tracking."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datasets.key_frames import KeyChoice
from opts import InferenceSettings, Settings
from util.checkpoint import load_weights, read_checkpoint
from util.distributed import pick_device
from util.errors import InputError
from util.run_record import recorded_model

from . import network_from
from .propagation import (
    FrameResult,
    FrameSegmenter,
    KeyFrame,
    Propagator,
    Video,
    find_key_frame,
    propagate,
    spread_candidates,
)
from .tf2 import TF2


@dataclass(frozen=True)
class TrackedFrame:
    """One frame's answer: its index, the object's probability [H, W], and the network's result where it was asked."""

    index: int
    probability: Tensor
    result: FrameResult | None
    is_key: bool = False

    @property
    def score(self) -> float | None:
        return self.result.score if self.result else None


class Tracker:
    """Segments sentences in videos with one network, and perhaps another that finds the key frame."""

    def __init__(self, network: TF2, settings: InferenceSettings, key_network: TF2 | None = None) -> None:
        self.segmenter = FrameSegmenter(network, settings.short_side)
        self.key_segmenter = FrameSegmenter(key_network, settings.short_side) if key_network else self.segmenter
        self.settings = settings

    @property
    def tracking(self) -> bool:
        return self.segmenter.network.tracking

    def check_caption(self, caption: str) -> None:
        """Raises InputError for a sentence that the text encoders cannot take."""
        for segmenter in (self.segmenter, self.key_segmenter):
            segmenter.network.tokenizer.ids(caption)

    def track(self, video: Video, caption: str, given: KeyChoice | None = None) -> Iterator[TrackedFrame]:
        """Every frame once, as it is done: the key frame first, then outward; without tracking from first to last."""
        if not self.tracking:
            yield from self._segment_clips(video, caption)
            return
        key = self._key_frame(video, caption, given or KeyChoice())
        probability = key.result.probability if key.result else key.mask.float()
        yield TrackedFrame(key.index, probability, key.result, is_key=True)
        text = self.segmenter.encode_text(caption)
        propagator = Propagator(self.segmenter, text, self.settings.threshold)
        for index, result in propagate(propagator, video, key):
            yield TrackedFrame(index, result.probability, result)

    def _key_frame(self, video: Video, caption: str, given: KeyChoice) -> KeyFrame:
        """The best candidate; a given mask takes the place of the network's own."""
        candidates = given.candidates or spread_candidates(len(video), self.settings.key_candidates)
        if len(candidates) > 1 or candidates[0] not in given.masks:
            text = self.key_segmenter.encode_text(caption)
            key = find_key_frame(self.key_segmenter, text, video, candidates, self.settings.threshold)
        else:
            key = KeyFrame(candidates[0], torch.empty(0))
        mask = given.mask(key.index, video[key.index].shape[:2])
        return key if mask is None else KeyFrame(key.index, torch.from_numpy(mask))

    def _segment_clips(self, video: Video, caption: str) -> Iterator[TrackedFrame]:
        """ReferFormer: the query is chosen per clip (spec §4)."""
        text = self.segmenter.encode_text(caption)
        length = self.settings.clip_frames or len(video)
        for start in range(0, len(video), length):
            frames = [video[i] for i in range(start, min(start + length, len(video)))]
            for offset, result in enumerate(self.segmenter.segment_clip(frames, text)):
                yield TrackedFrame(start + offset, result.probability, result)


def load_tracker(settings: Settings, local_rank: int = 0, *, recorded: bool = False) -> Tracker:
    """The tracker of a run: `--resume`, and `--key_model` where it is given.

    recorded: take the network's make-up from the checkpoint's own record instead of from the flags.
    Raises InputError where a checkpoint is missing, broken, or does not fit.
    """
    if not settings.run.resume:
        raise InputError("no checkpoint: give --resume FILE")
    device = pick_device(settings.run.device, local_rank)
    network = _load(settings, settings.run.resume, recorded=recorded).to(device)
    key_network = None
    if settings.inference.key_model:
        key_network = _load(settings, settings.inference.key_model, recorded=True).to(device)
    return Tracker(network, settings.inference, key_network)


def _load(settings: Settings, path: str, *, recorded: bool) -> TF2:
    checkpoint = read_checkpoint(path)
    model = recorded_model(checkpoint, settings.model) if recorded else settings.model
    network = network_from(replace(model, backbone_pretrained="random", text_pretrained=False))
    print(load_weights(network, checkpoint, source=str(path)), file=sys.stderr)
    return network.eval()
