"""One visitor's job: segment a video, draw it for the page and as a film, pack the masks."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

import demo
from datasets.expressions import normalise_caption
from datasets.video_source import FrameFolder, open_video
from models.tracker import Tracker
from util.captions import Caption, captioned
from util.errors import InputError
from util.inference_run import TOGETHER
from util.mask_io import read_label_map
from util.results import ExpressionResults, writing_all
from util.video_writer import VideoWriter
from util.visualize import distinct_colors, overlay

VIEW = (1280, 1280)  # the most pixels, across and down, of a frame on the page
FILM, MASKS = "overlay.mp4", "masks.zip"

Advance = Callable[[int, int, str], None]  # (done, of how many, of what); may raise to stop the job


@dataclass(frozen=True)
class Sentence:
    """A sentence and what the network said: its key frame's index and its score on each frame, or None."""

    text: str
    key_frame: int | None
    scores: tuple[float | None, ...]


@dataclass(frozen=True)
class Result:
    """A finished job. `folder` holds FILM, MASKS and a picture of each frame."""

    folder: Path
    sentences: tuple[Sentence, ...]
    frames: int

    def picture(self, index: int) -> bytes:
        """Frame `index` with every mask in its colour, as JPEG."""
        return _picture_file(self.folder, index).read_bytes()


@dataclass(frozen=True)
class Job:
    """What is asked for, and the folder it is made in."""

    video: Path
    texts: Sequence[str]
    folder: Path

    def run(self, tracker: Tracker, caption_case: str, advance: Advance) -> Result:
        """Do it. Raises InputError for a sentence or video that cannot be read, and what `advance` raises."""
        captions = [normalise_caption(text, caption_case) for text in self.texts]
        for caption in captions:
            tracker.check_caption(caption)
        results = [demo.results_of(self.folder, number, text) for number, text in enumerate(self.texts)]
        with open_video(self.video, scratch=self.folder) as video:
            total = len(video) * len(captions)
            for start in range(0, len(captions), TOGETHER):
                part = slice(start, start + TOGETHER)
                with writing_all(results[part], video, tracker.settings.threshold) as writers:
                    tracked = tracker.track_together(video, captions[part])
                    for done, (number, frame) in enumerate(tracked, start * len(video) + 1):
                        writers[number].add(frame)
                        advance(done, total, "masks")
            _draw(video, results, self.folder, advance)
            sentences = tuple(_sentence(result, video.names) for result in results)
            _pack(results, self.folder / MASKS)
            return Result(self.folder, sentences, len(video))


def first_picture(video: Path) -> bytes:
    """The first frame of a video file or folder of images, as JPEG. Raises InputError where there is none."""
    if video.is_dir():
        with open_video(video) as frames:
            return as_jpeg(frames[0])
    try:
        with av.open(f"file:{video}") as container:
            frame = next(container.decode(video=0))
            return as_jpeg(np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90)))
    except (av.FFmpegError, StopIteration) as error:
        raise InputError("This video is gone. Send it again.") from error


def as_jpeg(picture: np.ndarray) -> bytes:
    """RGB uint8 [H, W, 3] as the page shows it: within VIEW."""
    image, file = Image.fromarray(np.ascontiguousarray(picture)), io.BytesIO()
    image.thumbnail(VIEW)
    image.save(file, "JPEG", quality=88)
    return file.getvalue()


def _draw(video: FrameFolder, results: Sequence[ExpressionResults], folder: Path, advance: Advance) -> None:
    colors = distinct_colors(len(results))
    captions = [Caption(result.text, color) for result, color in zip(results, colors, strict=True)]
    with VideoWriter(folder / FILM, video.fps) as film:
        for index, name in enumerate(video.names):
            masks = [read_label_map(result.masks / f"{name}.png") > 0 for result in results]
            picture = overlay(video[index], masks, colors)
            film.write(captioned(picture, captions))
            _picture_file(folder, index).write_bytes(as_jpeg(picture))
            advance(index + 1, len(video), "pictures")


def _picture_file(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.jpg"


def _sentence(result: ExpressionResults, names: Sequence[str]) -> Sentence:
    record = json.loads(result.record.read_text())
    key_frame = record["key_frame"]
    index = None if key_frame is None else names.index(key_frame)
    return Sentence(result.text, index, tuple(record["scores"][name] for name in names))


def _pack(results: Sequence[ExpressionResults], path: Path) -> None:
    """Masks and records as `demo.py` lays them out."""
    with zipfile.ZipFile(path, "w") as archive:  # PNGs are packed already
        for result in results:
            archive.write(result.record, f"scores/{result.record.name}")
            for mask in sorted(result.masks.iterdir()):
                archive.write(mask, f"masks/{result.masks.name}/{mask.name}")
