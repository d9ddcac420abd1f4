"""The described objects of a split in Ref-YouTube-VOS layout (spec §5): what there is to paste, and into what."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datasets.expressions import VideoEntry, read_meta_expressions, read_videos
from util.errors import InputError
from util.names import as_number

from .words import occurring


@dataclass(frozen=True)
class Subject:
    """An object with its sentences, in its video.

    said_in_video   all sentences and categories of its video, its own among them
    """

    video: str
    frames: tuple[str, ...]
    object_id: int
    category: str | None
    sentences: tuple[str, ...]
    said_in_video: tuple[str, ...]

    @property
    def said(self) -> tuple[str, ...]:
        """Its sentences and its category."""
        return (*self.sentences, self.category or "")

    @cached_property
    def occurring(self) -> frozenset[str]:
        """Names that occur in what is said of it."""
        return occurring(self.said)

    @cached_property
    def occurring_in_video(self) -> frozenset[str]:
        """Names that occur in what is said of it and of all that is seen with it."""
        return occurring(self.said_in_video)


def read_subjects(root: Path, split: str) -> list[Subject]:
    """All objects of a split that sentences name.

    Raises:
        InputError: a list or a folder is missing, a list is malformed, or no expression names its object.
    """
    for folder in (root / split / "JPEGImages", root / split / "Annotations"):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; --input must hold frames and masks of --split {split}")
    videos = read_meta_expressions(root / "meta_expressions" / split / "meta_expressions.json")
    meta_file = root / split / "meta.json"
    meta = read_videos(meta_file) if meta_file.exists() else {}
    subjects = [subject for video in videos for subject in _subjects(video, _categories(meta.get(video.name)))]
    if not subjects:
        raise InputError(f'{root}: no expression of split {split} has an "obj_id"; take a split that names its objects')
    return subjects


def _subjects(video: VideoEntry, categories: dict[int, str]) -> list[Subject]:
    sentences: defaultdict[int, list[str]] = defaultdict(list)
    for expression in video.expressions:
        if expression.obj_id is not None:
            sentences[int(expression.obj_id)].append(expression.text)
    said = (*(expression.text for expression in video.expressions), *categories.values())
    return [
        Subject(video.name, video.frames, object_id, categories.get(object_id), tuple(dict.fromkeys(texts)), said)
        for object_id, texts in sentences.items()
    ]


def _categories(content: object) -> dict[int, str]:
    """Object id → category, as far as a video's part of meta.json says it."""
    objects = content.get("objects") if isinstance(content, dict) else None
    return {
        int(key): value["category"]
        for key, value in (objects if isinstance(objects, dict) else {}).items()
        if as_number(key) is not None and isinstance(value, dict) and isinstance(value.get("category"), str)
    }
