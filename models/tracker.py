"""A sentence and a video → the object's mask in every frame: key frame, then propagation; or clips without tracking."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from datasets.key_frames import KeyChoice
from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint
from util.distributed import pick_device
from util.errors import InputError
from util.model_folder import is_model_folder, own_text_encoder
from util.run_record import recorded_model
from util.settings import InferenceSettings, Settings

from . import network_from
from .compiled_parts import compile_parts
from .conversation import Answering, converse
from .frame_segmenter import FrameSegmenter
from .inference_layers import speed_up
from .key_frames import selector_of
from .key_frames_references import nearest_frames
from .key_frames_restart import RestartingPropagator
from .propagation import (
    Asking,
    Grounder,
    KeyFrame,
    Propagator,
    Track,
    TrackedFrame,
    Video,
    propagate,
    spread_candidates,
)
from .shared_frames import FramesReadAhead
from .shared_states import SharedStates
from .tf2 import TF2

MIB = 1 << 20


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
        """One sentence: every frame once, as it is done, the best key frame first, then outward from it.

        Other key frames follow in the same way. Without tracking, from first to last.
        """
        return (frame for _, frame in self.track_together(video, [caption], [given or KeyChoice()]))

    def track_together(
        self, video: Video, captions: Sequence[str], given: Sequence[KeyChoice] | None = None
    ) -> Iterator[tuple[int, TrackedFrame]]:
        """Several sentences: (sentence, frame) as it is done, each sentence's in the order that `track` says."""
        if not self.tracking:
            for number, caption in enumerate(captions):
                yield from ((number, frame) for frame in self._segment_clips(video, caption))
            return
        with ThreadPoolExecutor(1) as thread:
            frames = FramesReadAhead(video, self.segmenter.shrunk, thread)
            tracks = [self._track(frames, choice) for choice in given or [KeyChoice()] * len(captions)]
            yield from converse(tracks, self._answering(frames, captions))

    def _answering(self, frames: FramesReadAhead, captions: Sequence[str]) -> Answering:
        """Tracks are answered by the network, questions about a frame alone by the one that finds key frames."""
        limit = self.settings.feature_memory * MIB
        tracking = SharedStates(self.segmenter, frames, self.segmenter.encode_text(*captions), limit)
        if self.key_segmenter is self.segmenter:
            return tracking.answer
        finding = SharedStates(self.key_segmenter, frames, self.key_segmenter.encode_text(*captions), limit)
        return lambda sentences, questions: (finding if questions[0].alone else tracking).answer(sentences, questions)

    def _track(self, video: Video, given: KeyChoice) -> Track:
        """One sentence, from its candidates to its last frame."""
        threshold = self.settings.threshold
        restarting = self.settings.key_frame_selector == "restart"
        propagator = (RestartingPropagator if restarting else Propagator)(video, threshold)
        keys = yield from self._start_points(Grounder(video, threshold), propagator, given)
        nearest = nearest_frames(len(video), [key.index for key in keys])
        for key in keys:
            probability = key.result.probability if key.result else key.mask.float()
            yield TrackedFrame(key.index, probability, key.result, is_key=True)
            yield from propagate(propagator, key, nearest[key.index])

    def _start_points(self, grounder: Grounder, propagator: Propagator, given: KeyChoice) -> Asking[list[KeyFrame]]:
        """The selector's choice, the best first; a given mask takes the place of the network's own."""
        candidates = given.candidates or spread_candidates(len(grounder.video), self.settings.key_candidates)
        if len(candidates) > 1 or candidates[0] not in given.masks:
            selector = selector_of(self.settings.key_frame_selector, propagator)
            keys = yield from selector.start_points(grounder, candidates)
        else:
            keys = [KeyFrame(candidates[0], torch.empty(0))]
        return [_with_given_mask(key, given, grounder.video) for key in keys]

    def _segment_clips(self, video: Video, caption: str) -> Iterator[TrackedFrame]:
        """ReferFormer: the query is chosen per clip (spec §4)."""
        text = self.segmenter.encode_text(caption)
        length = self.settings.clip_frames or len(video)
        for start in range(0, len(video), length):
            frames = [video[i] for i in range(start, min(start + length, len(video)))]
            for offset, result in enumerate(self.segmenter.segment_clip(frames, text)):
                yield TrackedFrame(start + offset, result.probability, result)


def _with_given_mask(key: KeyFrame, given: KeyChoice, video: Video) -> KeyFrame:
    mask = given.mask(key.index, video[key.index].shape[:2])
    return key if mask is None else KeyFrame(key.index, torch.from_numpy(mask))


def load_tracker(settings: Settings, local_rank: int = 0, *, recorded: bool = False) -> Tracker:
    """The tracker of a run: `--resume`, and `--key_model` where it is given.

    recorded: take the network's make-up from the checkpoint's own record instead of from the flags.
    Raises InputError where a checkpoint is missing, broken, or does not fit.
    """
    if not settings.run.resume:
        raise InputError("no checkpoint: give --resume FILE, or a model folder")
    device = pick_device(settings.run.device, local_rank)
    network = _load(settings, settings.run.resume, device, recorded=recorded)
    key_network, key_model = None, settings.inference.key_model
    if key_model:
        encoder = own_text_encoder(key_model) if is_model_folder(key_model) else settings.model.text_encoder
        own = replace(settings, model=replace(settings.model, text_encoder=encoder))
        key_network = _load(own, key_model, device, recorded=True)
    return Tracker(network, settings.inference, key_network)


def _load(settings: Settings, path: str, device: torch.device, *, recorded: bool) -> TF2:
    """A network for inference alone."""
    network = load_network(settings, path, recorded=recorded).to(device)
    speed_up(network, settings.inference.precision)
    if settings.inference.compile and device.type == "cuda":
        compile_parts(network)
    elif settings.inference.compile:
        print(f"note: --compile does nothing on {device.type}: it is for GPUs", file=sys.stderr)
    return network


def load_network(settings: Settings, path: str, *, recorded: bool) -> TF2:
    """The plain network of a checkpoint on the CPU; `recorded` and errors as for load_tracker."""
    checkpoint = read_checkpoint(path)
    model = recorded_model(checkpoint, settings.model) if recorded else settings.model
    network = network_from(replace(model, backbone_pretrained="random", text_pretrained=False))
    print(load_weights(network, checkpoint, source=str(path)), file=sys.stderr)
    return network
