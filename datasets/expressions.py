"""The one reader of `meta_expressions.json` (spec §5), the file that says which sentence names what in which video.

Names in it become paths of frames and of results, so each is checked before anything is done with it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from util.errors import InputError
from util.names import as_number, is_safe_name, is_unicode

LARGEST_OBJECT_ID = 254  # masks are 8-bit and 255 is DAVIS' void


@dataclass(frozen=True)
class Expression:
    """One sentence. `id` is unique within `video`; `obj_id` is None where the benchmark keeps it secret.

    `told` names the frames that by themselves tell what is meant (docs/synthetic.md); None where nobody has said.
    """

    video: str
    id: str
    text: str
    obj_id: str | None
    told: tuple[str, ...] | None = None


@dataclass(frozen=True)
class VideoEntry:
    """One video: its frame names without suffix, sorted, and its sentences in the file's order."""

    name: str
    frames: tuple[str, ...]
    expressions: tuple[Expression, ...]


def read_meta_expressions(path: str | Path, exclude: str | Path | None = None) -> list[VideoEntry]:
    """Read and check a `meta_expressions.json`.

    Args:
        path: the file to read.
        exclude: another such file whose videos are left out. Ref-YouTube-VOS distributes its validation list
            with the test videos in it: validation = valid − test (202 videos, 834 expressions).

    Returns:
        The videos in the file's order.

    Raises:
        InputError: the file is missing or malformed; the message names file, video and expression.
    """
    path = Path(path)
    videos = read_videos(path)
    left_out = read_videos(Path(exclude)) if exclude is not None else {}
    entries = [_video_entry(path, name, content) for name, content in videos.items() if name not in left_out]
    if not entries:
        reason = f" that {exclude} does not hold too" if left_out else ""
        raise InputError(f"{path}: no video in it{reason}; get the data set's own file")
    return entries


def excluded_list(path: Path) -> Path | None:
    """The test list beside a validation list, whose videos the distributed validation list holds too (spec §4)."""
    test_list = path.parent.parent / "test" / path.name
    return test_list if path.parent.name == "valid" and test_list.is_file() else None


def normalise_caption(text: str, case: str = "lower") -> str:
    """Bring a sentence to the form the network reads.

    "lower" lowercases it and makes each run of white space one space, in training and inference alike.
    "released" leaves it as it is, as the release's inference scripts and RefCOCO loader do (spec §3).

    Raises:
        ValueError: `case` is neither.
    """
    if case == "released":
        return text
    if case == "lower":
        return " ".join(text.lower().split())
    raise ValueError(f"case is 'lower' or 'released', not {case!r}")


def read_videos(path: Path) -> Mapping[str, object]:
    """The `videos` object of a meta_expressions.json or meta.json, its content still unchecked; else InputError."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the data set's folder") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); download or convert it again") from error
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise InputError(f'{path}: no object "videos" at its top; is it the right file?')
    return videos


def _video_entry(path: Path, name: str, content: object) -> VideoEntry:
    """One checked video."""
    where = f"{path}: video {name!r}"
    if not is_safe_name(name):
        raise InputError(f"{where}: its name cannot be a folder's; rename it")
    if not isinstance(content, dict):
        raise InputError(f'{where}: must be an object with "frames" and "expressions"')
    expressions = content.get("expressions")
    if not isinstance(expressions, dict):
        raise InputError(f'{where}: "expressions" must be an object: id → {{"exp": text}}')
    frames = _frames(where, content.get("frames"))
    checked = tuple(_expression(where, name, key, value) for key, value in expressions.items())
    known = set(frames)
    for expression in checked:
        if not known.issuperset(expression.told or ()):
            raise InputError(
                f'{where}, expression {expression.id!r}: "told" names frames that "frames" does not; mend one of them'
            )
    return VideoEntry(name, frames, checked)


def _frames(where: str, frames: object) -> tuple[str, ...]:
    """Checked frame names, sorted: their order is the video's time."""
    if not isinstance(frames, list) or not frames:
        raise InputError(f'{where}: no frames; "frames" must be a list of frame names without suffix')
    bad = [frame for frame in frames if not is_safe_name(frame)]
    if bad:
        raise InputError(f"{where}: frame {bad[0]!r} cannot be a file's name; rename it: '00005'")
    if len(set(frames)) != len(frames):
        raise InputError(f"{where}: a frame is listed twice; list each once")
    return tuple(sorted(frames))


def _expression(where: str, video: str, key: str, content: object) -> Expression:
    """One checked sentence."""
    where = f"{where}, expression {key!r}"
    if not is_safe_name(key):
        raise InputError(f"{where}: its id cannot be a folder's name; rename it")
    text = content.get("exp") if isinstance(content, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f'{where}: "exp" must be a sentence that is not empty, it is {text!r}')
    if not is_unicode(text):
        raise InputError(f'{where}: "exp" holds half a character: {text!r}; write the sentence anew')
    return Expression(video, key, text, _object_id(where, content.get("obj_id")), _told(where, content.get("told")))


def _told(where: str, told: object) -> tuple[str, ...] | None:
    """Checked names of frames, or None where there are none."""
    if told is None:
        return None
    if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
        raise InputError(f'{where}: "told" must be a list of frame names, it is {told!r}')
    return tuple(sorted(told))


def _object_id(where: str, value: object) -> str | None:
    """A checked object id, or None where there is none."""
    if value is None:
        return None
    # Some copies hold numbers; a bool is an int to Python, but no object.
    number = as_number(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    if number is None or not 1 <= number <= LARGEST_OBJECT_ID:
        raise InputError(f'{where}: "obj_id" must be a number from 1 to {LARGEST_OBJECT_ID}, it is {value!r}')
    return str(number)
