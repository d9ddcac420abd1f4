"""What one expression leaves on disk: masks, a record of scores, and overlays for the eye; whole or not at all."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.tracker import TrackedFrame
from util.files import atomic_folder, atomic_write
from util.mask_io import write_mask
from util.visualize import distinct_colors, draw_box, draw_points, overlay


@dataclass(frozen=True)
class ExpressionResults:
    """Places of one expression's results.

    masks   folder of <frame>.png, mode L, 0/255; its being there means that the expression is finished
    record  JSON: key frame and score of each frame
    images  folder of overlays, or None
    """

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
    def writing(self, caption: str, frames: Sequence[str], threshold: float) -> Iterator["ResultWriter"]:
        """A writer; what it wrote gets its final names on success, the masks last."""
        with ExitStack() as stack:
            masks = stack.enter_context(atomic_folder(self.masks))
            images = stack.enter_context(atomic_folder(self.images)) if self.images else None
            writer = ResultWriter(masks, images, frames, threshold)
            yield writer
            with atomic_write(self.record) as temporary:
                temporary.write_text(json.dumps({"expression": caption, **writer.record()}, indent=1))


class ResultWriter:
    """Takes an expression's frames in any order and writes each at once."""

    def __init__(self, masks: Path, images: Path | None, frames: Sequence[str], threshold: float) -> None:
        self.masks, self.images, self.frames, self.threshold = masks, images, frames, threshold
        self.scores: dict[str, float | None] = {}
        self.key_frame: str | None = None

    @property
    def draws(self) -> bool:
        """Whether `add` wants the frame's image."""
        return self.images is not None

    def add(self, frame: TrackedFrame, image: np.ndarray | None = None) -> None:
        """Write one frame; `image` (RGB uint8 [H, W, 3]) is needed where overlays are."""
        name = self.frames[frame.index]
        mask = (frame.probability > self.threshold).cpu().numpy()
        write_mask(self.masks / f"{name}.png", mask)
        self.scores[name] = frame.score
        if frame.is_key and self.key_frame is None:  # the best one comes first
            self.key_frame = name
        if self.images is not None:
            Image.fromarray(picture(image, mask, frame)).save(self.images / f"{name}.png")

    def record(self) -> dict[str, object]:
        """Key frame and scores; a score is null where the mask was given."""
        return {"key_frame": self.key_frame, "scores": dict(sorted(self.scores.items()))}


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
