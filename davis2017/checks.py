"""What can be wrong with results, found before any score: from folder listings and the first bytes of each file."""

import filecmp
from collections.abc import Iterator, Sequence
from pathlib import Path

from davis2017.ground_truth import png_names
from davis2017.png import id_image_size
from davis2017.scoring import SequenceJob
from util.errors import InputError
from util.files import first_few


def problems_of(job: SequenceJob) -> list[str]:
    """All that keeps a sequence from being scored, a line each; [] where nothing does."""
    if len(job.frames) == 0:
        return [f"{job.name}: no ground truth; get the whole data set"]
    if len(job.scored_frames) == 0:
        return [f"{job.name}: {len(job.frames)} frames; {job.task.name} leaves out the first and the last one"]
    missing = [problem for folder in job.results for problem in _missing(folder, job)]
    frames = () if missing else job.scored_frames
    return missing + [problem for path in frames for problem in _wrong_frame(path, job.results_of(path))]


def is_the_truth(jobs: list[SequenceJob], result: int) -> bool:
    """Whether results folder number `result` of every job holds, byte by byte, the ground truth's own files."""
    pairs = ((path, job.results_of(path)[result]) for job in jobs for path in job.scored_frames)
    # Sizes differ almost always at once, so this seldom reads a file.
    return bool(jobs) and all(mine.is_file() and filecmp.cmp(true, mine, shallow=False) for true, mine in pairs)


def _missing(folder: Path, job: SequenceJob) -> Iterator[str]:
    names = [path.name for path in job.scored_frames]
    there = set(png_names(folder))
    missing = [name for name in names if name not in there]
    if not there:
        yield f"{folder}: no such folder, or no PNG in it"
    elif missing:
        yield f"{folder}: {len(missing)} of {len(names)} frames are missing: {first_few(missing, 3)}"


def _wrong_frame(path: Path, results: Sequence[Path]) -> list[str]:
    try:
        width, height = id_image_size(path)
        sizes = {mine: id_image_size(mine) for mine in results}
    except InputError as error:
        return [str(error)]
    return [
        f"{mine}: {size[0]}×{size[1]} pixels, the ground truth has {width}×{height}"
        for mine, size in sizes.items()
        if size != (width, height)
    ]
