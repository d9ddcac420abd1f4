"""Merge data sets in Ref-YouTube-VOS layout into one, by links: nothing is moved or changed.

    python tools/data/merge_sets.py data/ref-youtube-vos data/synthetic data/pasted --output data/merged
    python tools/data/merge_sets.py data/synthetic --repeat data/few-but-real 40 --output data/merged
    python main.py --dataset_file ytvos --binary --ytvos_path data/merged …

Each set's split becomes part of the same split of the result. A video whose name several sets use becomes
<set>_<video> in each of them. A set that is repeated is there several times, and so weighs more in training.
Expressions keep all their fields, such as "kind". The list of expressions is written
last: where it is, the result is whole.
"""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from datasets.expressions import excluded_list, read_meta_expressions, read_videos
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder, first_few, write_json
from util.names import is_safe_name

FRAMES, MASKS = "JPEGImages", "Annotations"

Place = Callable[[Path, Path], None]  # what is at the first is also to be at the second


@dataclass(frozen=True)
class Part:
    """One set's split that becomes part of the result; `prefix` tells its videos from another's of their names."""

    root: Path
    split: str
    prefix: str

    @property
    def list_file(self) -> Path:
        return _list_file(self.root, self.split)

    @cached_property
    def videos(self) -> dict[str, dict]:
        """name → frames and expressions as the list has them. Raises InputError where it is missing or malformed."""
        names = [video.name for video in read_meta_expressions(self.list_file, excluded_list(self.list_file))]
        content = read_videos(self.list_file)
        return {name: content[name] for name in names}

    @cached_property
    def objects(self) -> dict[str, dict]:
        """name → what meta.json says of the video; nothing where there is none."""
        file = self.root / self.split / "meta.json"
        content = read_videos(file) if file.is_file() else {}
        return {name: content[name] for name in self.videos if name in content}

    def folders(self) -> dict[str, Path]:
        """FRAMES, and MASKS where there are any. Raises InputError where a video of the list is missing in one."""
        found = {kind: self.root / self.split / kind for kind in (FRAMES, MASKS)}
        if self.split != "train" and not found[MASKS].is_dir():
            del found[MASKS]  # the benchmark keeps them secret
        for folder in found.values():
            missing = [name for name in self.videos if not (folder / name).is_dir()]
            if missing:
                raise InputError(
                    f"{folder} lacks {len(missing)} videos of {self.list_file} ({first_few(missing, 3)}): "
                    "fetch or make them again"
                )
        return found


def merge(sets: Sequence[Path], output: Path, split: str, place: Place) -> str:
    """Merge one split of `sets` into `output`; a set that is among them N times is there N times. Returns a summary.

    Raises:
        InputError: a set cannot be read, the output is there, or cannot be written.
    """
    for path in (output / split, _list_file(output, split)):
        if path.exists():
            raise InputError(f"{path} is there already; choose another --output, or delete that")
    parts = read_parts(sets, split)
    names = new_names(parts)
    folders = {part: part.folders() for part in parts}  # of all, before anything is written
    with atomic_folder(output / split) as folder:
        for part in parts:
            for kind, source in folders[part].items():
                (folder / kind).mkdir(exist_ok=True)
                for name in part.videos:
                    place((source / name).resolve(), folder / kind / names[part, name])
        objects = {names[p, name]: p.objects[name] for p in parts for name in p.objects}
        write_json(folder / "meta.json", {"videos": objects})
    videos = {names[p, name]: p.videos[name] for p in parts for name in p.videos}
    write_json(_list_file(output, split), {"videos": videos})
    return "\n".join(_summary(parts, names, output))


def read_parts(sets: Sequence[Path], split: str) -> list[Part]:
    """The sets in their order, each with a prefix of its own: its folder's name, numbered where several share it."""
    seen: Counter[str] = Counter()
    parts = []
    for path in sets:
        name = path.resolve().name
        seen[name] += 1
        parts.append(Part(path, split, name if seen[name] == 1 else f"{name}{seen[name]}"))
    return parts


def new_names(parts: Sequence[Part]) -> dict[tuple[Part, str], str]:
    """(part, video) → its name in the result. Raises InputError where prefixes do not tell the videos apart."""
    uses = Counter(name for part in parts for name in part.videos)
    names = {
        (part, name): name if uses[name] == 1 else f"{part.prefix}_{name}" for part in parts for name in part.videos
    }
    results = Counter(names.values())
    clashes = [name for name, times in results.items() if times > 1]
    if clashes:
        raise InputError(f"several videos would be called {first_few(clashes, 3)}; rename a set's folder")
    return names


def link(source: Path, target: Path) -> None:
    """A relative link, so that both may move together."""
    try:
        target.symlink_to(os.path.relpath(source, target.parent.resolve()), target_is_directory=True)
    except OSError as error:
        raise InputError(f"{target.parent}: no links can be made there ({error.strerror}); give --copy") from error


def copy(source: Path, target: Path) -> None:
    """Its files once more."""
    shutil.copytree(source, target)


def _list_file(root: Path, split: str) -> Path:
    return root / "meta_expressions" / split / "meta_expressions.json"


def _summary(parts: Sequence[Part], names: dict[tuple[Part, str], str], output: Path) -> Iterator[str]:
    times = Counter(part.root for part in parts)
    for part in {part.root: part for part in reversed(parts)}.values():
        renamed = sum(names[part, name] != name for name in part.videos)
        expressions = sum(len(video["expressions"]) for video in part.videos.values())
        note = f", {renamed} renamed {part.prefix}_…" if renamed else ""
        again = f", {times[part.root]} times" if times[part.root] > 1 else ""
        yield f"{part.root}: {len(part.videos)} videos, {expressions} expressions{note}{again}"
    yield f"{output / parts[0].split}: {len(names)} videos"


def refuse_twice(sets: Sequence[Path]) -> None:
    """Raises InputError where a set is given twice, which more likely is a slip."""
    roots = [path.resolve() for path in sets]
    twice = [path for path, root in zip(sets, roots, strict=True) if roots.count(root) > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice; give --repeat {twice[0]} N where N times are meant")


def repeated(repeats: Sequence[tuple[str, str]]) -> Iterator[Path]:
    """Each of (set, times) that many times. Raises InputError where that is no whole number above 0."""
    for path, times in repeats:
        if not times.isdecimal() or int(times) < 1:
            raise InputError(f"--repeat {path} takes how many times, a whole number above 0, not {times!r}")
        yield from [Path(path)] * int(times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("sets", type=Path, nargs="+", metavar="SET", help="folder of a set in Ref-YouTube-VOS layout")
    add("--repeat", nargs=2, action="append", default=[], metavar=("SET", "N"), help="another set, N times")
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the result")
    add("--split", default="train", help="which part (default: %(default)s)")
    add("--copy", action="store_true", help="copy files instead of linking folders")
    args = parser.parse_args(arguments)
    if not is_safe_name(args.split):
        raise InputError(f"--split must be a folder's name, it is {args.split!r}")
    refuse_twice([*args.sets, *(Path(path) for path, _ in args.repeat)])
    sets = [*args.sets, *repeated(args.repeat)]
    print(merge(sets, args.output, args.split, copy if args.copy else link))


if __name__ == "__main__":
    exit_on_input_error(main)
