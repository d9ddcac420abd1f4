"""A video's frames, read ahead; and what was made of some of them, kept while memory allows."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor

from .propagation import Video

AHEAD = 8  # frames that are read before they are needed
IMAGES_KEPT = 2 * AHEAD


Kept = TypeVar("Kept")


class Cache(Generic[Kept]):
    """What was made of each frame, up to `limit` bytes; the longest unused goes first, the newest never."""

    def __init__(self, limit: int):
        self.limit, self.size = limit, 0
        self._kept: OrderedDict[int, tuple[Kept, int]] = OrderedDict()

    def __contains__(self, frame: int) -> bool:
        return frame in self._kept

    def __getitem__(self, frame: int) -> Kept:
        """Raises KeyError for what is not, or no longer, there."""
        self._kept.move_to_end(frame)
        return self._kept[frame][0]

    def put(self, frame: int, value: Kept, size: int) -> None:
        """Keep `value` of `size` bytes."""
        self.drop(frame)
        self._kept[frame] = value, size
        self.size += size
        while self.size > self.limit and len(self._kept) > 1:
            self.drop(next(iter(self._kept)))

    def drop(self, frame: int) -> None:
        """Forget a frame; nothing where it is not there."""
        _, size = self._kept.pop(frame, (None, 0))
        self.size -= size


class FramesReadAhead(Sequence[np.ndarray]):
    """A video that a thread of its own reads and shrinks before it is asked; a few frames are kept."""

    def __init__(self, video: Video, shrink: Callable[[np.ndarray], Tensor], thread: Executor):
        self.video, self.shrink, self.thread = video, shrink, thread
        self._frames: OrderedDict[int, Future[tuple[np.ndarray, Tensor]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, index: int) -> np.ndarray:
        """RGB uint8 [H, W, 3]. Raises what reading it raises."""
        return self._frame(index).result()[0]

    def shrunk(self, index: int) -> Tensor:
        """As the network sees it, [3, h, w]. Raises what reading it raises."""
        return self._frame(index).result()[1]

    def expect(self, indices: Iterable[int]) -> None:
        """These will be asked for soon."""
        for index in indices:
            self._frame(index)

    def _frame(self, index: int) -> Future[tuple[np.ndarray, Tensor]]:
        if index not in self._frames:
            self._frames[index] = self.thread.submit(self._read, index)
        self._frames.move_to_end(index)
        while len(self._frames) > IMAGES_KEPT:
            self._frames.popitem(last=False)
        return self._frames[index]

    def _read(self, index: int) -> tuple[np.ndarray, Tensor]:
        image = self.video[index]
        return image, self.shrink(image)
