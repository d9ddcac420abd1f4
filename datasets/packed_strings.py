"""Many short strings in two arrays.

A list of strings costs each of them some 60 bytes beside its letters, and every worker process comes to own a copy,
because merely looking at a Python object writes to it.
"""

from collections.abc import Iterable

import numpy as np


class PackedStrings:
    """A read-only list of strings."""

    def __init__(self, strings: Iterable[str]):
        encoded = [string.encode() for string in strings]
        self.letters = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self.ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        """String `index`, counted from 0. Raises IndexError outside the list."""
        if not 0 <= index < len(self):
            raise IndexError(f"string {index} of {len(self)}")
        start = self.ends[index - 1] if index else 0
        return self.letters[start : self.ends[index]].tobytes().decode()

    @property
    def nbytes(self) -> int:
        """Memory of the two arrays."""
        return self.letters.nbytes + self.ends.nbytes
