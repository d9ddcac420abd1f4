"""Would the benchmark's server take this zip? Says so before it is uploaded.

    python tools/check_submission.py --zip ytvos_dirs/r50/valid.zip \\
        --meta data/ref-youtube-vos/meta_expressions/valid/meta_expressions.json

Wanted are Annotations/<video>/<expression>/<frame>.png for every frame of every expression, 8-bit grey, one size a
video, and nothing else. The distributed validation list holds the test videos too: they are left out by
--exclude_meta, or by the test list that lies beside. Only names and headers are read, so a mask whose pixels are
damaged passes; tools/evaluate.py reads them.
Exit code 0: the server would take it. 1: it would not. 2: the zip or a list cannot be read.
"""

import argparse
import stat
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from datasets.expressions import VideoEntry, excluded_list, read_meta_expressions
from tools.scoring.png import HEADER_BYTES, PngHeader, png_header
from tools.scoring.result_files import open_zip, read_member
from util.errors import exit_on_input_error
from util.files import first_few
from util.names import is_safe_name, printable
from util.submission import TOP_FOLDER

UNSAFE, TWICE, LINK = "unsafe names", "names that are in it twice", "links or other special files"
OUTSIDE, EXTRA, MISSING = f"files outside {TOP_FOLDER}/", "files that nobody asked for", "missing masks"
NOT_A_MASK, SIZES = "files that are no 8-bit grey PNG", "masks of another size than most of their video's"


def main() -> int:
    """Check, print, and return the exit code."""
    args = get_args_parser().parse_args()
    exclude = args.exclude_meta or excluded_list(args.meta)
    videos = [video for video in read_meta_expressions(args.meta, exclude) if video.expressions]
    print(f"{args.meta}" + (f" without the videos of {exclude}:" if exclude else ":"))
    expressions = sum(len(video.expressions) for video in videos)
    masks = sum(len(video.expressions) * len(video.frames) for video in videos)
    print(f"{masks} masks of {expressions} expressions in {len(videos)} videos are wanted")
    with open_zip(args.zip) as archive:
        problems = submission_problems(archive, videos)
    for kind, offenders in problems.items():
        print(f"{len(offenders)} {kind}: {first_few(offenders)}")
    print(f"{args.zip}: the server would {'refuse it' if problems else 'take it: all is there'}")
    return int(bool(problems))


def get_args_parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zip", required=True, type=Path, metavar="FILE", help="the submission")
    parser.add_argument("--meta", required=True, type=Path, metavar="FILE", help="the split's meta_expressions.json")
    parser.add_argument("--exclude_meta", type=Path, metavar="FILE", help="a list of videos that do not belong to it")
    return parser


def submission_problems(archive: zipfile.ZipFile, videos: Sequence[VideoEntry]) -> dict[str, list[str]]:
    """Kind of problem → offenders, each named as in the zip and safe to print; of the kinds that occur."""
    infos = archive.infolist()
    # zipfile cuts names at NUL; the original ones are what another unpacker may see.
    members = {info.orig_filename: info for info in infos}
    wanted = {name for video in videos for name in masks_of(video)}
    strangers = sorted(members.keys() - wanted - folders_of(videos))
    safe = [name for name in strangers if is_safe_path(name)]
    special = [name for name, info in members.items() if not is_plain(info)]
    problems = {
        UNSAFE: [name for name in strangers if not is_safe_path(name)],
        TWICE: [name for name, count in Counter(info.orig_filename for info in infos).items() if count > 1],
        LINK: special,
        OUTSIDE: [name for name in safe if not name.startswith(f"{TOP_FOLDER}/")],
        EXTRA: [name for name in safe if name.startswith(f"{TOP_FOLDER}/")],
        MISSING: sorted(wanted - members.keys()),
    }
    readable = {name: info for name, info in members.items() if name in wanted and name not in special}
    problems |= header_problems(archive, readable, videos)
    return {kind: [printable(name) for name in names] for kind, names in problems.items() if names}


def header_problems(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], videos: Sequence[VideoEntry]
) -> dict[str, list[str]]:
    """What the masks' first bytes say: no mask at all, or of another size than the video's others."""
    problems = {NOT_A_MASK: [], SIZES: []}
    for video in videos:
        looked_at = {name: look_at(archive, members[name]) for name in masks_of(video) if name in members}
        headers = {name: header for name, header in looked_at.items() if isinstance(header, PngHeader)}
        problems[NOT_A_MASK] += [f"{name} {fault}" for name, fault in looked_at.items() if name not in headers]
        problems[NOT_A_MASK] += [f"{name} is {header}" for name, header in headers.items() if not header.is_mask]
        sizes = Counter((header.width, header.height) for header in headers.values())
        usual = max(sizes, key=sizes.get, default=None)
        problems[SIZES] += [f"{name} is {h}" for name, h in headers.items() if (h.width, h.height) != usual]
    return problems


def look_at(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> PngHeader | str:
    """A member's header, or what is wrong with it."""
    try:
        return png_header(read_member(archive, info, HEADER_BYTES))
    except ValueError as error:
        return str(error)


def masks_of(video: VideoEntry) -> Iterator[str]:
    """Names of a video's masks in the zip."""
    for expression in video.expressions:
        yield from (f"{TOP_FOLDER}/{video.name}/{expression.id}/{frame}.png" for frame in video.frames)


def folders_of(videos: Sequence[VideoEntry]) -> set[str]:
    """Names of the folders around the masks, which some packers put into a zip, some not."""
    within = (f"{TOP_FOLDER}/{video.name}/{part}" for video in videos for part in ("", *_ids_of(video)))
    return {f"{TOP_FOLDER}/", *within}


def is_safe_path(name: str) -> bool:
    """Whether it stays in the folder where it is unpacked, on every system."""
    return all(map(is_safe_name, name.removesuffix("/").split("/")))


def is_plain(info: zipfile.ZipInfo) -> bool:
    """Whether it is a file or a folder, and no link or device, as far as the packer said."""
    mode = info.external_attr >> 16
    return stat.S_IFMT(mode) == 0 or stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _ids_of(video: VideoEntry) -> list[str]:
    return [f"{expression.id}/" for expression in video.expressions]


if __name__ == "__main__":
    exit_on_input_error(main)
