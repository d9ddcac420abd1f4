"""Key-frame selectors: which of the candidate frames propagation starts from (docs/key_frames.md)."""

from collections.abc import Sequence
from typing import Protocol

from .key_frames_consensus import Consensus
from .key_frames_references import References
from .propagation import Asking, Grounder, KeyFrame, Propagator


class Selector(Protocol):
    """Chooses among candidate frames, which are frame indices, all different and at least one."""

    def start_points(self, grounder: Grounder, candidates: Sequence[int]) -> Asking[list[KeyFrame]]:
        """The frames that propagation starts from, the best first; at least one."""


class Argmax:
    """The best-scored candidate with its own mask (spec §4)."""

    def start_points(self, grounder: Grounder, candidates: Sequence[int]) -> Asking[list[KeyFrame]]:
        return grounder.best(candidates)


def selector_of(name: str, propagator: Propagator) -> Selector:
    """The selector that `--key_frame_selector` names; `propagator` serves those that carry masks between candidates.

    `restart` starts as `argmax` does; what it adds comes later (key_frames_restart.py).
    """
    selectors: dict[str, Selector] = {
        "argmax": Argmax(),
        "consensus": Consensus(propagator),
        "references": References(),
        "restart": Argmax(),
    }
    return selectors[name]
