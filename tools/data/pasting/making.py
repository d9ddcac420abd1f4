"""From a plan to a finished clip on disk: frames, masks, and a record of what it is."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.left_right import mirror_caption
from util.errors import InputError, OutputError
from util.files import atomic_folder, write_json
from util.mask_io import write_label_map

from .clips import Clip
from .compose import HOST, PASTED, PastePath, compose
from .pairing import PAIR, TWIN, Plan
from .paths import SHORTEST, VISIBLE, UnsuitableError, draw_path
from .subjects import Subject
from .words import on_the

JPEG_QUALITY = 95


@dataclass(frozen=True)
class Workshop:
    """Where clips come from and go to.

    source       folder of the split that is read
    target       folder of the split that is written
    size         short side of the result, if the host's is larger
    max_frames   of a clip; None: as many as the host has
    """

    source: Path
    target: Path
    size: int
    max_frames: int | None

    def make(self, plan: Plan) -> dict | str:
        """Make one clip, or take it as it is where it was made before.

        Returns:
            Its record, as `{target}/Records/{name}.json` holds it: "frames", "objects" and "expressions" as in the
            lists of the data set, and how it was made. Or why the two do not fit.

        Raises:
            OutputError: it cannot be written.
        """
        record_file = self.target / "Records" / f"{plan.name}.json"
        if record_file.exists():
            return json.loads(record_file.read_bytes())
        try:
            record = self._make(plan)
        except OutputError:
            raise
        except (UnsuitableError, InputError) as reason:
            return str(reason)
        write_json(record_file, record)  # last: where it is, the clip is whole
        return record

    def _make(self, plan: Plan) -> dict:
        rng = np.random.default_rng(plan.seed)
        host = self._host(plan.host, rng)
        donor = self._donor(plan.donor, 2 * len(host.names), rng)
        path = draw_path(host.track, donor.track, plan.kind, rng)
        names = [f"{index:05d}" for index in range(len(path))]
        results = compose(host.frames, host.masks, donor.frames, donor.object_masks, path)
        first, shown = self._write(plan.name, names, results)
        categories = {HOST: plan.host.category, PASTED: plan.donor.category}
        return {
            "frames": names,
            "objects": {
                str(key): ({"category": category} if category else {}) | {"frames": shown[key]}
                for key, category in categories.items()
            },
            "expressions": expressions(plan, path.flip, first),
            "host": _origin(host, range(len(path))),
            "pasted": _origin(donor, path.sources) | _manner(path),
        }

    def _host(self, subject: Subject, rng: np.random.Generator) -> Clip:
        """A stretch that starts where the subject shows."""
        clip = self._stretch(subject, self.max_frames, rng, self.size)
        areas = clip.track.areas / np.prod(clip.track.size)
        seen = np.flatnonzero(areas >= VISIBLE)
        if not seen.size or len(areas) - seen[0] < SHORTEST:
            raise UnsuitableError(
                f"the host's object shows in too few frames, or in less than {VISIBLE:.1%} of the picture"
            )
        return clip.part(int(seen[0]), len(areas)) if seen[0] else clip

    def _donor(self, subject: Subject, length: int, rng: np.random.Generator) -> Clip:
        """At its own size, for its object may be enlarged; longer than needed, for part of it may not do."""
        return self._stretch(subject, length, rng, None)

    def _stretch(self, subject: Subject, length: int | None, rng: np.random.Generator, size: int | None) -> Clip:
        whole = Clip(self.source, subject, subject.frames, size)
        length = min(length or len(subject.frames), len(subject.frames))
        start = int(rng.integers(len(subject.frames) - length + 1))
        return whole.part(start, start + length)

    def _write(
        self, name: str, names: Sequence[str], results: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, dict[int, list[str]]]:
        """Write frames and masks as they come. Returns the first label map, and the frames that show each object."""
        shown: dict[int, list[str]] = {HOST: [], PASTED: []}
        first = None
        with (
            atomic_folder(self.target / "JPEGImages" / name) as images,
            atomic_folder(self.target / "Annotations" / name) as masks,
        ):
            for frame, (image, labels) in zip(names, results, strict=True):
                Image.fromarray(image).save(images / f"{frame}.jpg", quality=JPEG_QUALITY)
                write_label_map(masks / f"{frame}.png", labels)
                first = labels if first is None else first
                for key, frames in shown.items():
                    if (labels == key).any():
                        frames.append(frame)
        return first, shown


def expressions(plan: Plan, flip: bool, first: np.ndarray) -> dict[str, dict[str, str]]:
    """Expression id → {"exp", "obj_id", "kind"}, as meta_expressions.json has them.

    A sentence of kind "pair" holds for its object alone. Twins are told apart by their sides, where in the first label
    map [H, W] one is wholly to the left of the other; else their sentences are of kind "twin": they hold for both.

    Args:
        plan: has the sentences.
        flip: the pasted object is mirrored, so left and right in its sentences change places.
        first: label map of the first frame.
    """
    pasted = [mirror_caption(text) if flip else text for text in plan.pasted_sentences]
    texts = {HOST: plan.host_sentences, PASTED: pasted}
    kind, sides = plan.kind, {}
    if kind == TWIN:
        sides = sides_of(first)
        kind = PAIR if sides else TWIN
    pairs = [(on_the(sides[key], text) if sides else text, key) for key in texts for text in texts[key]]
    return {str(i): {"exp": text, "obj_id": str(key), "kind": kind} for i, (text, key) in enumerate(pairs)}


def sides_of(labels: np.ndarray) -> dict[int, str]:
    """Object → "left" or "right" where no column of the label map [H, W] shows both; else nothing."""
    columns = {key: np.flatnonzero((labels == key).any(axis=0)) for key in (HOST, PASTED)}
    for one, other in ((HOST, PASTED), (PASTED, HOST)):
        if columns[one].size and columns[other].size and columns[one][-1] < columns[other][0]:
            return {one: "left", other: "right"}
    return {}


def _origin(clip: Clip, frames: Sequence[int]) -> dict[str, object]:
    return {
        "video": clip.subject.video,
        "obj_id": str(clip.subject.object_id),
        "frames": [clip.names[frame] for frame in frames],
    }


def _manner(path: PastePath) -> dict[str, object]:
    return {"in_front": path.in_front, "flip": path.flip, "scale": round(path.scale, 4)}
