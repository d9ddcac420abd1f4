"""What all data sets share: a sample is a pure function of (seed, epoch, index), and broken ones are replaced."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from torch.utils.data import Dataset

from util.errors import InputError

from .sample import ClipSample, RawClip

Transform = Callable[[RawClip, np.random.Generator], ClipSample]
MAX_REPLACEMENTS = 100  # tries before a data set is called unusable


class ClipDataset(Dataset, ABC):
    """Clips of one data set.

    Indexed by (epoch, index): the generator of every draw is seeded by them, so that a sample is the same in any
    worker, in any order, and after a resume.
    """

    def __init__(self, transform: Transform, seed: int = 0, *, training: bool = True):
        """In training a sample that is of no use is replaced by another; in evaluation each one counts."""
        self.transform = transform
        self.seed = seed
        self.training = training

    @abstractmethod
    def __len__(self) -> int:
        """How many samples an epoch has."""

    @abstractmethod
    def read(self, index: int, rng: np.random.Generator) -> RawClip:
        """Read sample `index`; `rng` draws what is random. Raises InputError naming the broken file."""

    def __getitem__(self, key: tuple[int, int]) -> ClipSample:
        """The sample `index` of `epoch`.

        In training one without the object in any frame is replaced by a random other (spec §3); so is one that cannot
        be read, and the message travels in `problems`. Raises InputError where no usable sample is found, in evaluation
        where this one cannot be read.
        """
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        if not self.training:
            return self.transform(self.read(index, rng), rng)
        problems = []
        for _ in range(MAX_REPLACEMENTS):
            try:
                sample = self.transform(self.read(index, rng), rng)
                if sample.target.valid.any():
                    return sample.standing_in_for(problems)
            except InputError as error:
                problems.append(str(error))
            index = int(rng.integers(len(self)))
        reason = f"; last: {problems[-1]}" if problems else ": the object is in none of their frames"
        raise InputError(f"{MAX_REPLACEMENTS} samples in a row are unusable{reason}; check the data set")
