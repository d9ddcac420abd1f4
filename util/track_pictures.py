"""Tracks to look at: each frame with mask, box, reference point and score; an overview; the scores over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.video_source import FrameFolder
from util.captions import Caption, captioned
from util.files import atomic_folder, atomic_write
from util.mask_io import read_label_map
from util.score_plot import write_score_plot
from util.track_record import Sighting, TrackRecord
from util.visualize import contact_sheet, distinct_colors, draw_box, draw_points, overlay

OVERVIEW_FRAMES, OVERVIEW_COLUMNS, OVERVIEW_WIDTH = 9, 3, 1440


@dataclass(frozen=True)
class Tracks:
    """Sentences that were followed through one video.

    video    the frames, RGB uint8 [H, W, 3]
    names    what the records call them
    records  one a sentence
    masks    frame index → each sentence's mask, bool [H, W]; asked when it is drawn, so memory stays flat
    """

    video: Sequence[np.ndarray]
    names: Sequence[str]
    records: Sequence[TrackRecord]
    masks: Callable[[int], Sequence[np.ndarray]]

    @classmethod
    def on_disk(cls, video: FrameFolder, records: Sequence[TrackRecord], folders: Sequence[Path]) -> "Tracks":
        """Of masks `<frame>.png` in one folder a sentence."""

        def masks(index: int) -> list[np.ndarray]:
            return [read_label_map(folder / f"{video.names[index]}.png") > 0 for folder in folders]

        return cls(video, video.names, records, masks)

    def picture(self, index: int) -> np.ndarray:
        """One frame as `draw_sightings` draws it; all of a video are of one size."""
        name = self.names[index]
        return draw_sightings(self.video[index], self.masks(index), [r.sighting(name) for r in self.records], name)

    def overview_frames(self) -> list[int]:
        """Frames spread over the video, in time, the best key frames among them."""
        keys = dict.fromkeys(self.names.index(r.key_frame) for r in self.records if r.key_frame is not None)
        return spread_frames(len(self.names), OVERVIEW_FRAMES, list(keys))


def draw_sightings(
    image: np.ndarray, masks: Sequence[np.ndarray], sightings: Sequence[Sighting], heading: str = ""
) -> np.ndarray:
    """Draw what some sentences' tracks say of a frame: masks, boxes and points on it, scores in a strip above it.

    Args:
        image: uint8 RGB [H, W, 3].
        masks: bool [H, W], one a sentence.
        sightings: one a sentence.
        heading: what to call the frame.

    Returns:
        uint8 RGB [H + strip, W, 3]; the strip is as high for every frame.
    """
    colors = distinct_colors(len(sightings))
    picture = overlay(image, masks, colors)
    for sighting, color in zip(sightings, colors, strict=True):
        if sighting.mark is not None:
            picture = draw_box(picture, sighting.mark.box, color)
            picture = draw_points(picture, np.array(sighting.mark.point), color)
    captions = [Caption(s.text, color, _note(s), s.is_key) for s, color in zip(sightings, colors, strict=True)]
    return captioned(picture, captions, heading)


def spread_frames(length: int, count: int, wanted: Sequence[int] = ()) -> list[int]:
    """At most `count` of a video's frames, in time: evenly spread, but each of the first `wanted` in its neighbour's
    place."""
    chosen = np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()
    free = list(chosen)
    for index in wanted[: len(chosen)]:
        nearest = min(free, key=lambda other: abs(other - index))
        free.remove(nearest)
        chosen[chosen.index(nearest)] = index
    return sorted(set(chosen))


def write_pictures(tracks: Tracks, folder: Path) -> None:
    """Write `folder`/<frame>.png, and beside it `folder`_overview.png and `folder`_scores.png.

    Raises InputError where they cannot be written, or a frame or a mask cannot be read.
    """
    with atomic_folder(folder) as place:
        for index, name in enumerate(tracks.names):
            Image.fromarray(tracks.picture(index)).save(place / f"{name}.png")
        write_overview(tracks, folder.with_name(f"{folder.name}_overview.png"))
        write_score_plot(tracks.names, tracks.records, folder.with_name(f"{folder.name}_scores.png"))


def write_overview(tracks: Tracks, path: Path) -> None:
    """Write one picture of frames spread over the video. Raises InputError as `write_pictures` does."""
    write_sheet([tracks.picture(index) for index in tracks.overview_frames()], path)


def write_sheet(pictures: Sequence[np.ndarray], path: Path) -> None:
    """Write pictures, uint8 RGB [h, w, 3], at least one, beside each other. Raises InputError where it cannot."""
    sheet = contact_sheet(pictures, min(OVERVIEW_COLUMNS, len(pictures)), OVERVIEW_WIDTH)
    with atomic_write(path) as temporary:
        Image.fromarray(sheet).save(temporary)


def _note(sighting: Sighting) -> str:
    score = "given" if sighting.score is None else f"{sighting.score:.2f}"
    return f"key frame {score}" if sighting.is_key else score
