"""What Ref-YouTube-VOS (or a set in its layout) holds to score against: objects, sentences, annotated frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.expressions import Expression, VideoEntry, excluded_list, read_meta_expressions, read_videos
from tools.scoring.mask_scores import VideoJob
from util.errors import InputError


@dataclass(frozen=True)
class Truth:
    """The expected: jobs of videos with ground truth, and what cannot be scored, each with its reason.

    jobs          one a video; their targets are the expressions whose object is known
    expressions   (video, expression id) → the sentence
    groups        (video, expression id) → the kinds that the list gives it, none or more
    unknown       (video, expression id) → why there is no ground truth for it
    frames        how many frames the list names; those of the jobs are the annotated ones
    """

    annotations: Path
    jobs: tuple[VideoJob, ...]
    expressions: Mapping[tuple[str, str], Expression]
    groups: Mapping[tuple[str, str], tuple[str, ...]]
    unknown: Mapping[tuple[str, str], str]
    frames: int


def read_truth(root: Path, split: str, expressions_file: Path | None = None) -> Truth:
    """Find what is to be scored under `root` (spec §5).

    The split's own list says which expressions belong to it; `expressions_file` (else that list) says which object
    each names. Where there is no list, the file is it.

    Raises:
        InputError: no annotations, no or a malformed list, or one without any object id.
    """
    annotations = root / split / "Annotations"
    if not annotations.is_dir():
        raise InputError(f"{annotations}: no such folder; get the ground truth {split}/Annotations/<video>/<frame>.png")
    own_list = root / "meta_expressions" / split / "meta_expressions.json"
    listing = own_list if own_list.is_file() or expressions_file is None else expressions_file
    videos = read_meta_expressions(listing, excluded_list(listing))
    source = expressions_file or listing
    objects, groups = _objects_and_groups(source)
    expressions = {(e.video, e.id): e for video in videos for e in video.expressions}
    if not objects.keys() & expressions.keys():
        raise InputError(
            f'{source}: no expression of {listing} has an "obj_id" in it, so nobody knows which object is meant '
            "(the benchmark keeps them secret); give --expressions a meta_expressions.json with obj_id"
        )
    unknown = {key: f"{source} gives it no obj_id" for key in expressions if key not in objects}
    jobs = []
    for video in videos:
        frames = tuple(name for name in video.frames if (annotations / video.name / f"{name}.png").is_file())
        if not frames:
            unknown |= {(video.name, e.id): "no frame of its video is annotated" for e in video.expressions}
        targets = {e.id: objects[video.name, e.id] for e in video.expressions if (video.name, e.id) not in unknown}
        if targets:
            jobs.append(VideoJob(video.name, annotations / video.name, frames, targets))
    return Truth(annotations, tuple(jobs), expressions, groups, unknown, sum(len(video.frames) for video in videos))


def _objects_and_groups(path: Path) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], tuple[str, ...]]]:
    """(video, expression id) → object id, where the list has one; → its kinds."""
    videos: list[VideoEntry] = read_meta_expressions(path)
    raw = read_videos(path)
    objects, groups = {}, {}
    for expression in (e for video in videos for e in video.expressions):
        key = expression.video, expression.id
        if expression.obj_id is not None:
            objects[key] = int(expression.obj_id)
        groups[key] = _groups(raw[expression.video]["expressions"][expression.id], f"{path}: {'/'.join(key)}")
    return objects, groups


def _groups(content: Mapping[str, object], where: str) -> tuple[str, ...]:
    """Its "kind", and "unseen" where the list marks it so."""
    kind = content.get("kind")
    if kind is not None and not (isinstance(kind, str) and kind):
        raise InputError(f'{where}: "kind" must be a word, it is {kind!r}')
    return (*([kind] if kind else []), *(["unseen"] if content.get("unseen") is True else []))
