"""What one expression leaves on disk: masks, a record of scores, and overlays for the eye; whole or not at all."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.video_source import FrameFolder
from models.propagation import TrackedFrame
from util.files import atomic_folder, atomic_write
from util.mask_io import write_mask
from util.visualize import distinct_colors, draw_box, draw_points, overlay

QUEUE = 8  # masks that wait to be written, at most


@dataclass(frozen=True)
class ExpressionResults:
    """One expression, and the places of its results.

    text    the sentence
    masks   folder of <frame>.png, mode L, 0/255; its being there means that the expression is finished
    record  JSON: key frame and score of each frame
    images  folder of overlays, or None
    """

    text: str
    masks: Path
    record: Path
    images: Path | None = None

    def finished(self, frames: Sequence[str]) -> bool:
        """Whether all of `frames` are there, in every folder that is wanted."""
        folders = [folder for folder in (self.masks, self.images) if folder]
        return self.record.is_file() and all(
            (folder / f"{frame}.png").is_file() for folder in folders for frame in frames
        )

    @contextmanager
    def writing(self, video: FrameFolder, threshold: float) -> Iterator["ResultWriter"]:
        """A writer; what it wrote gets its final names on success, the masks last."""
        with ExitStack() as stack:
            masks = stack.enter_context(atomic_folder(self.masks))
            images = stack.enter_context(atomic_folder(self.images)) if self.images else None
            with ThreadPoolExecutor(1) as thread:
                writer = ResultWriter(video, FrameWriter(masks, images, threshold), thread)
                yield writer
                writer.finish()
            with atomic_write(self.record) as temporary:
                temporary.write_text(json.dumps({"expression": self.text, **writer.record()}, indent=1))


@contextmanager
def writing_all(
    results: Sequence[ExpressionResults], video: FrameFolder, threshold: float
) -> Iterator[list["ResultWriter"]]:
    """A writer for each of several expressions of one video."""
    with ExitStack() as stack:
        yield [stack.enter_context(result.writing(video, threshold)) for result in results]


class ResultWriter:
    """Takes an expression's frames in any order; a thread of its own writes them."""

    def __init__(self, video: FrameFolder, write: "FrameWriter", thread: Executor) -> None:
        self.video, self.write, self.thread = video, write, thread
        self.scores: dict[str, float | None] = {}
        self.key_frame: str | None = None
        self._unwritten: deque[Future[None]] = deque()

    def add(self, frame: TrackedFrame) -> None:
        """Write one frame soon. Raises what writing an earlier one raised."""
        name = self.video.names[frame.index]
        self.scores[name] = frame.score
        if frame.is_key and self.key_frame is None:  # the best one comes first
            self.key_frame = name
        self._unwritten.append(self.thread.submit(self.write, self.video, frame))
        self._wait_for_all_but(QUEUE)

    def finish(self) -> None:
        """Wait until all is written. Raises what writing raised."""
        self._wait_for_all_but(0)

    def _wait_for_all_but(self, count: int) -> None:
        while len(self._unwritten) > count:
            self._unwritten.popleft().result()

    def record(self) -> dict[str, object]:
        """Key frame and scores; a score is null where the mask was given."""
        return {"key_frame": self.key_frame, "scores": dict(sorted(self.scores.items()))}


@dataclass(frozen=True)
class FrameWriter:
    """Writes one frame's mask, and its overlay where there is a place for it."""

    masks: Path
    images: Path | None
    threshold: float

    def __call__(self, video: FrameFolder, frame: TrackedFrame) -> None:
        name, mask = video.names[frame.index], (frame.probability > self.threshold).cpu().numpy()
        write_mask(self.masks / f"{name}.png", mask)
        if self.images:
            Image.fromarray(picture(video[frame.index], mask, frame)).save(self.images / f"{name}.png")


def picture(image: np.ndarray, mask: np.ndarray, frame: TrackedFrame) -> np.ndarray:
    """Mask, box and reference point over the frame, RGB uint8 [H, W, 3]."""
    (color,) = distinct_colors(1)
    drawn = overlay(image, [mask], [color])
    if frame.result is None:
        return drawn
    height, width = image.shape[:2]
    cx, cy, w, h = (frame.result.box.cpu().numpy() * (width, height, width, height)).tolist()
    drawn = draw_box(drawn, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), color)
    return draw_points(drawn, frame.result.point.cpu().numpy()[None] * (width, height), color)
