"""What a sentence's track says of each frame: score, key frame, and where the chosen query looked."""

from dataclasses import dataclass, field
from typing import Any

import torch

from models.propagation import FrameResult, TrackedFrame


@dataclass(frozen=True)
class Mark:
    """The chosen query's box (x1, y1, x2, y2) and last reference point (x, y), in pixels."""

    box: tuple[float, ...]
    point: tuple[float, ...]

    @classmethod
    def of(cls, result: FrameResult) -> "Mark":
        """In the frame that the result is of."""
        height, width = result.probability.shape
        numbers = torch.cat([result.box, result.point]).tolist()
        cx, cy, w, h, x, y = (round(n * side, 1) for n, side in zip(numbers, 3 * (width, height), strict=True))
        return cls((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), (x, y))


@dataclass(frozen=True)
class Sighting:
    """A sentence in one frame: the network's score and mark, None where the mask was given; whether a key frame."""

    text: str
    score: float | None
    is_key: bool
    mark: Mark | None = None


@dataclass
class TrackRecord:
    """A sentence's whole track, frames by name.

    scores      None where the mask was given
    key_frames  the best one first; none without tracking
    marks       of the frames that the network was asked about; None where nobody wants them: they take time
    """

    text: str
    marks: dict[str, Mark] | None = None
    scores: dict[str, float | None] = field(default_factory=dict)
    key_frames: list[str] = field(default_factory=list)

    def add(self, name: str, frame: TrackedFrame) -> None:
        """One frame, in the order in which they are found."""
        self.scores[name] = frame.score
        if frame.is_key:
            self.key_frames.append(name)
        if self.marks is not None and frame.result is not None:
            self.marks[name] = Mark.of(frame.result)

    @property
    def key_frame(self) -> str | None:
        return self.key_frames[0] if self.key_frames else None

    def sighting(self, name: str) -> Sighting:
        """What there is of frame `name`. Raises KeyError for one that was not added."""
        return Sighting(self.text, self.scores[name], name in self.key_frames, (self.marks or {}).get(name))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; a score is null where the mask was given."""
        content = {"expression": self.text, "key_frame": self.key_frame, "scores": dict(sorted(self.scores.items()))}
        if self.marks is None:
            return content
        marks = sorted(self.marks.items())
        return content | {
            "key_frames": self.key_frames,
            "boxes": {name: mark.box for name, mark in marks},
            "points": {name: mark.point for name, mark in marks},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrackRecord":
        """Of what `as_dict` made with marks."""
        boxes, points = content["boxes"], content["points"]
        marks = {name: Mark(tuple(boxes[name]), tuple(points[name])) for name in boxes}
        return cls(content["expression"], marks, content["scores"], content["key_frames"])
