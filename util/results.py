"""What one expression leaves on disk: masks, a record of scores, and pictures for the eye; whole or not at all."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasets.video_source import FrameFolder
from models.propagation import TrackedFrame
from util.files import atomic_folder, atomic_write
from util.mask_io import write_mask
from util.track_pictures import Tracks, write_pictures
from util.track_record import TrackRecord

QUEUE = 8  # masks that wait to be written, at most


@dataclass(frozen=True)
class ExpressionResults:
    """One expression, and the places of its results.

    text    the sentence
    masks   folder of <frame>.png, mode L, 0/255; its being there means that the expression is finished
    record  JSON: key frame and score of each frame
    images  folder of pictures, or None
    marks   whether the record has boxes and points too, as pictures need them
    """

    text: str
    masks: Path
    record: Path
    images: Path | None = None
    marks: bool = False

    def finished(self, frames: Sequence[str]) -> bool:
        """Whether all of `frames` are there, in every folder that is wanted."""
        folders = [folder for folder in (self.masks, self.images) if folder]
        return self.record.is_file() and all(
            (folder / f"{frame}.png").is_file() for folder in folders for frame in frames
        )

    @contextmanager
    def writing(self, video: FrameFolder, threshold: float) -> Iterator["ResultWriter"]:
        """A writer; what it wrote gets its final names on success, the masks last."""
        with atomic_folder(self.masks) as masks:
            with ThreadPoolExecutor(1) as thread:
                record = TrackRecord(self.text, {} if self.marks else None)
                writer = ResultWriter(video, record, MaskWriter(masks, threshold), thread)
                yield writer
                writer.finish()
            if self.images:
                write_pictures(Tracks.on_disk(video, [record], [masks]), self.images)
            with atomic_write(self.record) as temporary:
                temporary.write_text(json.dumps(record.as_dict(), indent=1))


@contextmanager
def writing_all(
    results: Sequence[ExpressionResults], video: FrameFolder, threshold: float
) -> Iterator[list["ResultWriter"]]:
    """A writer for each of several expressions of one video."""
    with ExitStack() as stack:
        yield [stack.enter_context(result.writing(video, threshold)) for result in results]


class ResultWriter:
    """Takes an expression's frames in any order; a thread of its own writes them."""

    def __init__(self, video: FrameFolder, record: TrackRecord, write: "MaskWriter", thread: Executor) -> None:
        self.video, self.record, self.write, self.thread = video, record, write, thread
        self._unwritten: deque[Future[None]] = deque()

    def add(self, frame: TrackedFrame) -> None:
        """Write one frame soon. Raises what writing an earlier one raised."""
        name = self.video.names[frame.index]
        self.record.add(name, frame)
        self._unwritten.append(self.thread.submit(self.write, name, frame))
        self._wait_for_all_but(QUEUE)

    def finish(self) -> None:
        """Wait until all is written. Raises what writing raised."""
        self._wait_for_all_but(0)

    def _wait_for_all_but(self, count: int) -> None:
        while len(self._unwritten) > count:
            self._unwritten.popleft().result()


@dataclass(frozen=True)
class MaskWriter:
    """Writes one frame's mask."""

    folder: Path
    threshold: float

    def __call__(self, name: str, frame: TrackedFrame) -> None:
        write_mask(self.folder / f"{name}.png", (frame.probability > self.threshold).cpu().numpy())
