"""Several data sets as one: RefCOCO/+/g together for pretraining, with Ref-YouTube-VOS for joint training (spec §3)."""

from collections.abc import Sequence

import numpy as np

from .clip_dataset import ClipDataset
from .sample import RawClip


class ConcatClips(ClipDataset):
    """The samples of all parts, one part behind another.

    Seed and transform are the first part's. Every draw is seeded by the index in the whole, so that equal indices of
    two parts do not share their augmentation; a replacement may come from any part.
    """

    def __init__(self, parts: Sequence[ClipDataset]):
        """Raises ValueError where there is no part."""
        if not parts:
            raise ValueError("at least one data set is needed")
        super().__init__(parts[0].transform, parts[0].seed)
        self.parts = list(parts)
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, index: int, rng: np.random.Generator) -> RawClip:
        """Read sample `index` of the whole. Raises InputError naming the broken file, IndexError beyond the end."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        part = int(np.searchsorted(self.ends, index, side="right"))
        first = int(self.ends[part - 1]) if part else 0
        return self.parts[part].read(index - first, rng)
