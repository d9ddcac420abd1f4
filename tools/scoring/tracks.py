"""J and F of object tracks, and their means: over all tracks, by video and by kind."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Track:
    """One object followed through one video.

    video, id  what it is called
    text       the sentence that names it, or ""
    groups     kinds of sentence that it counts to
    frames     names of the scored frames, in time
    j, f       region similarity and boundary accuracy of each, float [T] in [0, 1]
    """

    video: str
    id: str
    text: str
    groups: tuple[str, ...]
    frames: tuple[str, ...]
    j: np.ndarray
    f: np.ndarray

    @property
    def means(self) -> tuple[float, float, float]:
        """J&F, J and F over its frames."""
        j, f = float(self.j.mean()), float(self.f.mean())
        return (j + f) / 2, j, f


@dataclass(frozen=True)
class Means:
    """Means over tracks, each counting once whatever its length."""

    jf: float
    j: float
    f: float
    tracks: int
    videos: int

    @classmethod
    def of(cls, tracks: Sequence[Track]) -> "Means":
        """Of at least one track."""
        jf, j, f = np.mean([track.means for track in tracks], axis=0).tolist()
        return cls(jf, j, f, len(tracks), len({track.video for track in tracks}))

    def as_dict(self) -> dict[str, float]:
        return {"J&F": self.jf, "J": self.j, "F": self.f, "expressions": self.tracks, "videos": self.videos}


@dataclass(frozen=True)
class TrackScores:
    """All tracks of a set, at least one."""

    tracks: tuple[Track, ...]

    @property
    def overall(self) -> Means:
        return Means.of(self.tracks)

    def by_video(self) -> dict[str, tuple[Track, ...]]:
        """Video → its tracks, in the order of the tracks."""
        return _grouped((track.video, track) for track in self.tracks)

    def by_group(self) -> dict[str, Means]:
        """Kind of sentence → means, by name; a track may count to several."""
        groups = _grouped((group, track) for track in self.tracks for group in track.groups)
        return {name: Means.of(groups[name]) for name in sorted(groups)}

    def as_dict(self) -> dict[str, Any]:
        """For JSON: overall, by kind where there are any, by video and expression."""
        kinds = {name: means.as_dict() for name, means in self.by_group().items()}
        videos = {
            video: _scores(Means.of(tracks)) | {"expressions": {track.id: _figures(track) for track in tracks}}
            for video, tracks in self.by_video().items()
        }
        return {
            "overall": self.overall.as_dict(),
            "mean_over": "expressions",  # each the mean over its frames
            **({"kinds": kinds} if kinds else {}),
            "videos": videos,
        }

    def as_csv(self) -> str:
        """One line an expression."""
        return csv_text([{"video": track.video, "expression": track.id} | _figures(track) for track in self.tracks])

    def as_text(self) -> str:
        """Overall and by kind, to read."""
        rows = {f"overall (mean over {len(self.tracks)} expressions)": self.overall, **self.by_group()}
        width = max(map(len, rows))
        head = f"{'':{width}}    J&F      J      F  expressions"
        lines = (f"{name:{width}} {m.jf:6.4f} {m.j:6.4f} {m.f:6.4f}  {m.tracks:11}" for name, m in rows.items())
        return "\n".join([head, *lines])


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with equal keys as CSV with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _figures(track: Track) -> dict[str, Any]:
    kinds = {"kind": " ".join(track.groups)} if track.groups else {}
    scores = dict(zip(("J&F", "J", "F"), track.means, strict=True))
    return scores | {"frames": len(track.frames)} | kinds | {"sentence": track.text}


def _scores(means: Means) -> dict[str, float]:
    return {name: means.as_dict()[name] for name in ("J&F", "J", "F")}


def _grouped(pairs: Iterable[tuple[str, Track]]) -> dict[str, tuple[Track, ...]]:
    groups: dict[str, list[Track]] = {}
    for key, track in pairs:
        groups.setdefault(key, []).append(track)
    return {key: tuple(tracks) for key, tracks in groups.items()}
