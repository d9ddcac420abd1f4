"""Which samples make which batch: a pure function of seed and epoch, so that any step can be found again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one process over all epochs, for a DataLoader's `batch_sampler`.

    length      samples in the data set
    batch_size  clips a process and batch
    accumulate  batches a step
    rank, world this process among all
    start       step of the run to begin at
    epoch_clips samples of an epoch, drawn anew for each; 0: all
    """

    length: int
    batch_size: int
    accumulate: int
    epochs: int
    seed: int
    rank: int = 0
    world: int = 1
    start: int = 0
    epoch_clips: int = 0

    @property
    def clips_per_step(self) -> int:
        """The effective batch: over processes and accumulated batches."""
        return self.batch_size * self.accumulate * self.world

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; the last incomplete one is dropped (spec §3)."""
        return min(self.epoch_clips or self.length, self.length) // self.clips_per_step

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def __len__(self) -> int:
        return (self.steps - self.start) * self.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Batches of (epoch, index) keys, as ClipDataset takes them."""
        for step in range(self.start, self.steps):
            epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
            if step == self.start or step_of_epoch == 0:
                order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
            yield from self._step(epoch, order[step_of_epoch * self.clips_per_step :][: self.clips_per_step])

    def _step(self, epoch: int, indices: np.ndarray) -> Iterator[list[tuple[int, int]]]:
        """A step's clips are dealt to batches, and each batch to the processes, in order."""
        for batch in indices.reshape(self.accumulate, self.world, self.batch_size)[:, self.rank]:
            yield [(epoch, int(index)) for index in batch]
