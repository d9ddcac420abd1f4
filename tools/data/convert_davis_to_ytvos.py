"""Lay Ref-DAVIS17 out as Ref-YouTube-VOS is (spec §5), so that one reader serves both.

    python tools/data/convert_davis_to_ytvos.py --davis_path data/ref-davis

Everything is read and checked before anything is written. The downloaded files are never moved or changed. The
expressions' JSON is written last: where it is, the split is complete. Running again repairs what is missing.
"""

import argparse
import json
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from datasets.expressions import LARGEST_OBJECT_ID
from util.errors import InputError, exit_on_input_error
from util.files import cannot_write, make_output_folder, write_json
from util.mask_io import read_label_map
from util.names import as_number, is_safe_name

SPLITS = {"train": "train", "val": "valid"}  # DAVIS' name -> Ref-YouTube-VOS' name
# In the order of the expression ids: annotation 0, 1, 2, 3, with the encoding each annotator used.
ANNOTATIONS = (
    ("Davis17_annot1.txt", "utf-8-sig"),
    ("Davis17_annot1_full_video.txt", "utf-8-sig"),
    ("Davis17_annot2.txt", "latin-1"),
    ("Davis17_annot2_full_video.txt", "latin-1"),
)
MISSPELT = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
LINE = re.compile(r'(?P<video>\S+)\s+(?P<object>[0-9]+)\s+"?(?P<text>.*?)"?')
MODES = ("link", "hardlink", "copy")


@dataclass(frozen=True)
class Sentence:
    """An expression and where it was read: file and line."""

    text: str
    where: str


# video -> object id -> annotation (0…3) -> sentence
Sentences = Mapping[str, Mapping[str, Mapping[int, Sentence]]]


@dataclass(frozen=True)
class DavisFolder:
    """Where Ref-DAVIS17's parts lie as downloaded."""

    images: Path
    masks: Path
    lists: Path
    semantics: Path
    texts: Path


@dataclass(frozen=True)
class Video:
    """One video, checked and ready to be written.

    Frames and masks are in one order; `objects` and `expressions` are what the two JSON files hold of it.
    """

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    objects: dict[str, dict]
    expressions: dict[str, dict]


def convert(davis_path: str | Path, output: str | Path, mode: str = "link", strict: bool = False) -> dict[str, int]:
    """Write the Ref-YouTube-VOS layout of Ref-DAVIS17; listed videos without frames are reported and skipped.

    Args:
        davis_path: the folder that holds `DAVIS/` and `davis_text_annotations/`.
        output: gets `{train,valid}/{JPEGImages,Annotations,meta.json}` and `meta_expressions/{train,valid}/`.
        mode: frames and masks become symbolic links ("link"), hard links ("hardlink") or copies ("copy").
        strict: a listed video without frames is an error.

    Returns:
        How many videos were written: split -> count.

    Raises:
        InputError: something is missing or does not fit together; the message names file and line.
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {MODES}, not {mode!r}")
    root, output = Path(davis_path).resolve(), Path(output).resolve()
    davis = _find(root)
    sentences, semantics = _read_sentences(davis.texts), _read_semantics(davis.semantics)
    names = {split: _read_list(davis.lists / f"{listed}.txt") for listed, split in SPLITS.items()}
    for split in names:
        _refuse_foreign(output, split, set().union(*names.values()))
    videos = {}
    for split, listed in names.items():
        here = _with_frames(davis, split, listed, strict)
        videos[split] = [_plan_video(davis, name, sentences.get(name, {}), semantics) for name in here]
    if not any(videos.values()):
        raise InputError(f"{davis.images}: no frame of any listed video; unpack DAVIS 2017 (480p) there")
    relative = output.is_relative_to(root) or root.is_relative_to(output)
    for split in (split for split in videos if videos[split]):
        _write_split(output, split, videos[split], Placer(mode, relative))
    return {split: len(written) for split, written in videos.items()}


def _find(root: Path) -> DavisFolder:
    """The data set's parts, all there."""
    base = root / "DAVIS"
    davis = DavisFolder(
        images=base / "JPEGImages" / "480p",
        masks=base / "Annotations_unsupervised" / "480p",
        lists=base / "ImageSets" / "2017",
        semantics=base / "davis_semantics.json",
        texts=root / "davis_text_annotations",
    )
    for part in vars(davis).values():
        if not part.exists():
            raise InputError(
                f"{part}: not there; --davis_path must hold DAVIS/ (DAVIS 2017 unsupervised, 480p, with its "
                "davis_semantics.json) and davis_text_annotations/"
            )
    return davis


def _read_text(file: Path, encoding: str = "utf-8-sig") -> str:
    try:
        return file.read_bytes().decode(encoding)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); download it again") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not {encoding.removesuffix('-sig')} text ({error}); download it again") from error


def _read_list(file: Path) -> list[str]:
    """The video names of an ImageSets file; each becomes a folder's name."""
    names = _read_text(file).split()
    for name in names:
        if not is_safe_name(name):
            raise InputError(f"{file}: {name!r} is not a video's name; download it again")
    return list(dict.fromkeys(names))


def _read_semantics(file: Path) -> dict[str, dict[str, str]]:
    """video -> object id -> category."""
    try:
        content = json.loads(_read_text(file))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not valid JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: must map videos to objects; download it again")
    for video, objects in content.items():
        if not isinstance(objects, dict) or not all(map(_is_object, objects.items())):
            raise InputError(
                f"{file}: video {video!r} must map object ids (1 to {LARGEST_OBJECT_ID}) to category names; "
                "download it again"
            )
    return content


def _is_object(item: tuple[str, object]) -> bool:
    key, category = item
    number = as_number(key)
    return number is not None and 1 <= number <= LARGEST_OBJECT_ID and isinstance(category, str)


def _read_sentences(texts: Path) -> Sentences:
    """All expressions, also of videos in no list: DAVIS has more than the two sets."""
    sentences: defaultdict = defaultdict(lambda: defaultdict(dict))
    for annotation, (name, encoding) in enumerate(ANNOTATIONS):
        # Not splitlines(): read as latin-1, some letters' bytes count as line ends to it.
        for number, line in enumerate(_read_text(texts / name, encoding).split("\n"), start=1):
            if not line.strip():
                continue
            where = f"{texts / name}, line {number}"
            match = LINE.fullmatch(line.strip())
            if match is None or not match["text"].strip():
                raise InputError(f'{where}: expected  video object-id "expression", found {line.strip()!r}; mend it')
            of_object = sentences[MISSPELT.get(match["video"], match["video"])][match["object"]]
            if of_object.get(annotation, Sentence(match["text"], "")).text != match["text"]:
                print(f"{where}: a second expression of this object; it replaces {of_object[annotation].where}")
            of_object[annotation] = Sentence(match["text"], where)
    return sentences


def _with_frames(davis: DavisFolder, split: str, names: Sequence[str], strict: bool) -> list[str]:
    """The listed videos that are here; the others are reported."""
    here = [name for name in names if _files(davis.images / name, ".jpg")]
    absent = [name for name in names if name not in set(here)]
    if absent:
        shown = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
        message = f"{split}: {len(absent)} of {len(names)} listed videos have no frames in {davis.images} ({shown})"
        if strict:
            raise InputError(f"{message}; unpack them there, or leave out --strict to skip them")
        print(f"{message}: skipped")
    return here


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    """Name without suffix -> file, sorted; nothing where the folder is not there."""
    # Names that start with a dot are what macOS leaves beside unpacked files.
    return {file.stem: file for file in sorted(folder.glob(f"*{suffix}")) if not file.name.startswith(".")}


def _plan_video(
    davis: DavisFolder, name: str, sentences: Mapping[str, Mapping[int, Sentence]], semantics: dict[str, dict[str, str]]
) -> Video:
    """Check one video's parts against each other and number its expressions."""
    if name not in semantics:
        raise InputError(f"{davis.semantics}: video {name!r} is missing; download the whole file")
    frames, masks = _files(davis.images / name, ".jpg"), _files(davis.masks / name, ".png")
    for frame in sorted(frames.keys() ^ masks.keys()):
        kind, folder = ("mask", davis.masks) if frame in frames else ("image", davis.images)
        raise InputError(f"{folder / name}: frame {frame} has no {kind} there; unpack DAVIS again")
    _check_sentences(davis, name, sentences, semantics[name])
    ids = sorted(semantics[name])  # as strings: "10" before "2", which fixes the expression ids
    return Video(
        name=name,
        frames=tuple(frames.values()),
        masks=tuple(masks.values()),
        objects=_objects(semantics[name], ids, masks),
        expressions={
            str(len(ANNOTATIONS) * index + annotation): {"exp": sentences[key][annotation].text, "obj_id": key}
            for index, key in enumerate(ids)
            for annotation in range(len(ANNOTATIONS))
        },
    )


def _check_sentences(
    davis: DavisFolder, name: str, sentences: Mapping[str, Mapping[int, Sentence]], categories: Mapping[str, str]
) -> None:
    """Every object has all annotations, and no expression is of another object."""
    for key, of_object in sentences.items():
        if key not in categories:
            where = next(iter(of_object.values())).where
            raise InputError(f"{where}: object {key} of {name!r} is not in {davis.semantics}; mend one of the two")
    for key in categories:
        for annotation, (file, _) in enumerate(ANNOTATIONS):
            if annotation not in sentences.get(key, {}):
                raise InputError(
                    f"{davis.texts / file}: no expression for object {key} of {name!r}, which {davis.semantics} "
                    "lists; each object needs one in each of the four files"
                )


def _objects(categories: Mapping[str, str], ids: Sequence[str], masks: Mapping[str, Path]) -> dict[str, dict]:
    """What meta.json says of a video: category and the frames that show the object."""
    objects = {key: {"category": categories[key], "frames": []} for key in ids}
    for frame, file in masks.items():
        # The unsupervised masks hold objects that nobody described, and 255 for void: those are passed over.
        for value in np.flatnonzero(np.bincount(read_label_map(file).ravel())):
            if str(value) in objects:
                objects[str(value)]["frames"].append(frame)
    return objects


def _refuse_foreign(output: Path, split: str, names: set[str]) -> None:
    """Do not write over another data set that has the same layout."""
    for file in _json_files(output, split):
        try:
            there = set(json.loads(file.read_bytes())["videos"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # not there, or cut off: there is nothing to lose
        if not there <= names:
            raise InputError(
                f"{file}: describes videos that are not DAVIS', such as {min(there - names)!r}; choose another --output"
            )


def _json_files(output: Path, split: str) -> tuple[Path, Path]:
    """meta.json and meta_expressions.json of a split."""
    return output / split / "meta.json", output / "meta_expressions" / split / "meta_expressions.json"


@dataclass(frozen=True)
class Placer:
    """Puts a file of the data set at its new place, by link or copy."""

    mode: str
    relative: bool  # links survive a move of the folder that holds both ends

    def place(self, source: Path, target: Path) -> None:
        """Make `target` stand for `source`; nothing happens where it does already."""
        if self._is_placed(source, target):
            return
        # Renamed into place, because writing through an old link at `target` would change the user's file.
        temporary = target.with_name(f".{target.name}.part")
        try:
            temporary.unlink(missing_ok=True)
            if self.mode == "copy":
                shutil.copyfile(source, temporary)
            elif self.mode == "hardlink":
                os.link(source.resolve(), temporary)
            else:
                temporary.symlink_to(os.path.relpath(source, target.parent) if self.relative else source)
            temporary.replace(target)
        except OSError as error:
            if self.mode == "copy":
                raise cannot_write(target, error) from error
            raise InputError(f"{target}: no {self.mode} can be made ({error.strerror}); try --mode copy") from error

    def _is_placed(self, source: Path, target: Path) -> bool:
        if not target.exists():
            return False
        if target.is_symlink():
            return self.mode == "link" and target.samefile(source)
        # A copy serves as well as a link; another size is one that was cut off.
        same_size = target.stat().st_size == source.stat().st_size
        return same_size and not (self.mode == "copy" and target.samefile(source))


def _write_split(output: Path, split: str, videos: Sequence[Video], placer: Placer) -> None:
    """Place all files of a split, then write its two JSON files, the expressions last."""
    meta, expressions = _json_files(output, split)
    _own_folder(output, expressions.parent)
    for file in (expressions, meta):
        file.unlink(missing_ok=True)  # until the files are in place again, the split is not complete
    for video in videos:
        for kind, files in (("JPEGImages", video.frames), ("Annotations", video.masks)):
            folder = _own_folder(output, output / split / kind / video.name)
            for file in files:
                placer.place(file, folder / file.name)
    listed = {
        video.name: {"expressions": video.expressions, "frames": [file.stem for file in video.frames]}
        for video in videos
    }
    write_json(meta, {"videos": {video.name: {"objects": video.objects} for video in videos}})
    write_json(expressions, {"videos": listed})
    count = sum(len(video.expressions) for video in videos)
    print(f"{split}: {len(videos)} videos, {count} expressions -> {output / split}, {expressions}")


def _own_folder(output: Path, folder: Path) -> Path:
    """Make a folder below `output`, refusing to pass through a link: it may lead to the data set itself."""
    for part in (folder, *folder.parents):
        if part == output:
            break
        if part.is_symlink():
            raise InputError(
                f"{part}: a link, and files would be written where it leads; remove it, or choose another --output"
            )
    return make_output_folder(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--davis_path",
        "--data_root",
        type=Path,
        default=Path("data/ref-davis"),
        help="folder that holds DAVIS/ and davis_text_annotations/ (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, help="where to write (default: --davis_path, beside what is there)")
    parser.add_argument("--mode", choices=MODES, default="link", help="symbolic links, hard links, or copies")
    parser.add_argument("--strict", action="store_true", help="a listed video without frames is an error")
    args = parser.parse_args(arguments)
    convert(args.davis_path, args.output or args.davis_path, args.mode, args.strict)


if __name__ == "__main__":
    exit_on_input_error(main)
