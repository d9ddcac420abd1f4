"""One video after another, in Ref-YouTube-VOS layout (spec §5) with additions to an expression.

"kind" is one of conditions.SENTENCE_KINDS, "property" says what exactly is asked, "told" lists the frames that tell by
themselves which thing is meant, and "unseen" and "twin" are there where they are true: the thing's kind and colour were
kept out of training; something else looks just the same.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from util.errors import InputError
from util.files import atomic_folder, atomic_write, make_output_folder
from util.mask_io import write_label_map
from util.processes import process_map

from .backgrounds import make_background
from .casting import cast_scene
from .conditions import SENTENCE_KINDS
from .judge import Judge, frames_that_tell
from .language import put_into_words
from .render import render
from .scene import Scene
from .sentences import Referral, choose_referrals, simple_referrals
from .silhouettes import Facts, Figure, observe, pose_figures

VERSION = 2  # raised with every change that changes the bytes
SPLITS = ("train", "valid", "test")
ATTEMPTS = 60  # casts of a video; all but a few need one to three
CHOOSY = 12  # so many of them hold out for the sentences wanted
FRAME_STEP = 5  # frames are named as in Ref-YouTube-VOS: 00000, 00005, ...


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    root         folder of the set
    videos       split → how many
    seed         of all that is drawn
    size         height and width
    frames       T
    backgrounds  pictures to be used; none: they are drawn
    simple       easy sentences for each thing of a training video
    """

    root: Path
    videos: dict[str, int]
    seed: int
    size: tuple[int, int]
    frames: int
    backgrounds: tuple[Path, ...] = ()
    simple: int = 0

    @property
    def record(self) -> dict:
        """What decides the bytes, for synthetic.json."""
        sizes = "\n".join(f"{file.name} {file.stat().st_size}" for file in self.backgrounds)
        return {
            "version": VERSION,
            "seed": self.seed,
            "size": list(self.size),
            "frames": self.frames,
            "videos": self.videos,
            "backgrounds": {"pictures": len(self.backgrounds), "checksum": zlib.crc32(sizes.encode())},
            **({"simple": self.simple} if self.simple else {}),
        }

    @property
    def frame_names(self) -> list[str]:
        return [f"{FRAME_STEP * t:05d}" for t in range(self.frames)]


@dataclass(frozen=True)
class Take:
    """A scene with all that is known of it, before it is drawn."""

    scene: Scene
    figures: list[list[Figure]]
    facts: Facts
    referrals: list[Referral]

    @property
    def judge(self) -> Judge:
        """Of what is true in it."""
        return Judge(self.scene.looks, self.facts)


def make_set(plan: Plan, workers: int = 1) -> None:
    """Write all splits. The same plan gives the same bytes, whatever `workers` is; finished videos are kept.

    Raises:
        InputError: the folder holds something else, cannot be written, or no sentence fits so small a video.
    """
    _claim(plan)
    with process_map(workers, __name__) as run:
        for split, count in plan.videos.items():
            work = partial(make_video, plan, split)
            entries = list(tqdm(run(work, range(count)), desc=split, total=count, unit="video", disable=None))
            names = [video_name(split, index) for index in range(count)]
            meta = {name: {"objects": objects} for name, (objects, _) in zip(names, entries, strict=True)}
            lists = {
                name: {"expressions": expressions, "frames": plan.frame_names}
                for name, (_, expressions) in zip(names, entries, strict=True)
            }
            _write_json(plan.root / split / "meta.json", {"videos": meta})
            # Last of all: where it is, the split is complete.
            _write_json(plan.root / "meta_expressions" / split / "meta_expressions.json", {"videos": lists})


def video_name(split: str, index: int) -> str:
    """Names differ between splits: the reader of `valid` leaves out the videos that `test` lists too."""
    return f"{split}_{index:06d}"


def make_video(plan: Plan, split: str, index: int) -> tuple[dict, dict]:
    """Write frames and masks of one video; returns its objects for meta.json, and its expressions."""
    rng = np.random.default_rng([plan.seed, SPLITS.index(split), index])
    take = direct(rng, plan, split, index)
    expressions = _expressions(rng, plan, take, take.referrals)
    if split == "train" and plan.simple:
        # Draws of their own: the rest of the set is the same with them and without.
        rng_of_simple = np.random.default_rng([plan.seed, SPLITS.index(split), index, 1])
        referrals = simple_referrals(rng_of_simple, take.judge, plan.simple)
        expressions |= _expressions(rng_of_simple, plan, take, referrals, first=len(expressions))
    folder, name = plan.root / split, video_name(split, index)
    if not ((folder / "JPEGImages" / name).is_dir() and (folder / "Annotations" / name).is_dir()):
        _write_video(rng, plan, take, folder, name)
    return _objects(plan, take), expressions


def direct(rng: np.random.Generator, plan: Plan, split: str, index: int) -> Take:
    """Cast scenes until one allows good sentences, of the kind whose turn it is if that can be had."""
    puzzles = [SENTENCE_KINDS[(index + k * (1 + index // 5 % 4)) % len(SENTENCE_KINDS)] for k in (0, 1)]
    for attempt in range(ATTEMPTS):
        scene = cast_scene(rng, puzzles, plan.size, plan.frames, unseen=split == "test")
        figures = pose_figures(scene)
        facts = observe(scene, figures)
        referrals = choose_referrals(rng, Judge(scene.looks, facts))
        several = len({referral.thing for referral in referrals}) > 1
        as_wanted = several and puzzles[0] in {referral.description.kind for referral in referrals}
        if as_wanted or (referrals and attempt >= CHOOSY):
            return Take(scene, figures, facts, referrals)
    raise InputError(
        f"no good sentence for {video_name(split, index)} in {ATTEMPTS} tries: choose more --frames or a larger --size"
    )


def _expressions(
    rng: np.random.Generator, plan: Plan, take: Take, referrals: Sequence[Referral], first: int = 0
) -> dict[str, dict]:
    looks, judge, entries = take.scene.looks, take.judge, {}
    for number, (description, thing) in enumerate(((r.description, r.thing) for r in referrals), first):
        entries[str(number)] = {
            "exp": put_into_words(rng, description, looks[thing].kind),
            "obj_id": str(thing + 1),
            "kind": description.kind,
            "property": description.asked,
            "told": [plan.frame_names[t] for t in frames_that_tell(judge, description, thing)],
            **({"unseen": True} if looks[thing].unseen else {}),
            **({"twin": True} if looks.count(looks[thing]) > 1 else {}),
        }
    return entries


def _objects(plan: Plan, take: Take) -> dict[str, dict]:
    """Those that are ever seen, with the frames that show them."""
    objects = {}
    for thing, (look, area) in enumerate(zip(take.scene.looks, take.facts.area, strict=True)):
        frames = [name for name, share in zip(plan.frame_names, area, strict=True) if share > 0]
        if frames:
            about = {"colour": look.colour, "pattern": look.pattern, "size": look.size}
            objects[str(thing + 1)] = {"category": look.kind, "frames": frames, **about}
    return objects


def _write_video(rng: np.random.Generator, plan: Plan, take: Take, folder: Path, name: str) -> None:
    background = make_background(rng, plan.size, plan.backgrounds)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(78, 94))]
    with atomic_folder(folder / "Annotations" / name) as masks, atomic_folder(folder / "JPEGImages" / name) as images:
        frames = render(take.scene, take.figures, background, rng)
        for frame, picture, labels in zip(plan.frame_names, frames, take.facts.labels, strict=True):
            encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)[1]
            (images / f"{frame}.jpg").write_bytes(encoded.tobytes())
            write_label_map(masks / f"{frame}.png", labels)


def _claim(plan: Plan) -> None:
    """The folder must be empty, or hold the very set that is to be made: two sets are never mixed."""
    root, file = make_output_folder(plan.root), plan.root / "synthetic.json"
    if file.is_file():
        try:
            same = json.loads(file.read_text(encoding="utf-8")) == plan.record
        except ValueError:
            same = False
        if not same:
            raise InputError(f"{file}: a set made with other flags is there; give those, or another --output")
    elif any(root.iterdir()):
        raise InputError(f"{root}: not empty, and no set of this program; choose another --output")
    _write_json(file, plan.record)


def _write_json(file: Path, content: dict) -> None:
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
