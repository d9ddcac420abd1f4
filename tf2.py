"""TF² from Python: a video and a sentence → masks as NumPy arrays (docs/python.md).

    import tf2

    model = tf2.load("pretrained_weights/tf2_mini")
    masks = model.segment("clip.mp4", "the red ball")  # bool [T, H, W]

Run from this folder, or with it on PYTHONPATH. S sentences, T frames of H × W pixels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from datasets.expressions import normalise_caption
from datasets.video_source import check_rgb, open_video
from models.propagation import TrackedFrame, Video
from models.stream import Stream, sentences_of
from models.tracker import Tracker, load_tracker
from opts import get_args_parser, parse_flags, settings_from
from util.errors import InputError
from util.inference_run import TOGETHER

__all__ = ["InputError", "Model", "Segmentation", "Stream", "load"]

Flag = str | int | float | bool | Path | None


@dataclass
class Segmentation:
    """One sentence's object in a video.

    masks      bool [T, H, W]
    scores     float32 [T], how sure the network is of each frame, in [0, 1]
    key_frame  the frame that tracking started from (of several the best); without tracking the surest one
    """

    masks: np.ndarray
    scores: np.ndarray
    key_frame: int | None = None

    def _add(self, frame: TrackedFrame, threshold: float) -> None:
        self.masks[frame.index] = (frame.probability > threshold).cpu().numpy()
        self.scores[frame.index] = frame.score
        if frame.is_key and self.key_frame is None:  # the best one comes first
            self.key_frame = frame.index


def load(checkpoint: str | Path, **flags: Flag) -> "Model":
    """A trained network: a model folder, or a checkpoint of TF² or ReferFormer.

    flags: any of the inference programs' by name, as `short_side=240`, `device="cpu"`, `precision="bf16"`,
    `key_frame_selector="restart"`, `threshold=0.4`; True gives a switch, as `no_tracking=True`.
    A model folder has its own defaults. A checkpoint beside needs `text_encoder`, where the hub cannot be reached.
    Raises InputError for an unknown flag or value, and where the checkpoint is missing, broken or does not fit.
    """
    parser = get_args_parser()
    parser.error = _refuse  # argparse would end the process
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
    settings = settings_from(parse_flags(parser, [f"--resume={checkpoint}", *arguments]))
    return Model(load_tracker(settings, recorded=True), settings.data.caption_case)


def _refuse(message: str) -> NoReturn:
    raise InputError(f"tf2.load: {message}")


class Model:
    """A network that is loaded, on its device."""

    def __init__(self, tracker: Tracker, caption_case: str = "lower") -> None:
        self.tracker, self.caption_case = tracker, caption_case

    def segment(self, video: str | Path | np.ndarray, text: str | Sequence[str]) -> np.ndarray:
        """The masks of a sentence's object, bool [T, H, W]; of several sentences [S, T, H, W].

        video: a file, a folder of images, or frames, RGB uint8 [T, H, W, 3]
        Raises InputError for a video or a sentence that cannot be used.
        """
        found = self.track(video, text)
        return found.masks if isinstance(found, Segmentation) else np.stack([each.masks for each in found])

    def track(self, video: str | Path | np.ndarray, text: str | Sequence[str]) -> Segmentation | list[Segmentation]:
        """The same with scores and key frame; of several sentences a list."""
        captions = [normalise_caption(sentence, self.caption_case) for sentence in sentences_of(text)]
        for caption in captions:
            self.tracker.check_caption(caption)
        with _opened(video) as frames:
            parts = [captions[start : start + TOGETHER] for start in range(0, len(captions), TOGETHER)]
            found = [each for part in parts for each in self._track_together(frames, part)]
        return found[0] if isinstance(text, str) else found

    def _track_together(self, video: Video, captions: Sequence[str]) -> list[Segmentation]:
        shape = (len(video), *video[0].shape[:2])
        results = [Segmentation(np.zeros(shape, bool), np.zeros(shape[0], np.float32)) for _ in captions]
        for number, frame in self.tracker.track_together(video, captions):
            results[number]._add(frame, self.tracker.settings.threshold)
        for result in results:
            if result.key_frame is None:
                result.key_frame = int(result.scores.argmax())
        return results

    def stream(self) -> Stream:
        """For live video: `start(text, first_frame)`, then `step(frame)` → mask. Raises InputError without tracking."""
        return Stream(self.tracker, self.caption_case)


@contextmanager
def _opened(video: str | Path | np.ndarray) -> Iterator[Video]:
    """A file or folder is open for as long as the block runs; an array is its frames."""
    if isinstance(video, str | Path):
        with open_video(video) as frames:
            yield frames
    else:
        check_rgb(video, "T, H, W, 3")
        yield video
