"""JHMDB-Sentences: frames as PNG, masks as one .mat a video, samples and ground truth as JSON (spec §5)."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datasets.jhmdb import GROUND_TRUTH, LONGEST_VIDEO, SAMPLES
from datasets.mat_file import read_array
from tools.data.doctor.findings import Kind, Report
from tools.data.doctor.frames import EMPTY_FILE, FRAME_SIZE
from tools.data.doctor.samples import check_ground_truth, read_samples
from tools.data.doctor.visit import Found, Visit, examine_each, files_in, image_size, size_text
from util.errors import InputError
from util.names import as_number, is_safe_name

SPLITS = ("test",)  # no part of it is trained on
FRAMES, MASKS = "Rename_Images", "puppet_mask"

GET = "download JHMDB (jhmdb.is.tue.mpg.de): "
GET_FRAMES = f"{GET}Rename_Images.tar.gz, unpacked as {FRAMES}/<class>/<video>/<frame>.png"
GET_MASKS = f"{GET}puppet_mask.zip, unpacked as {MASKS}/<class>/<video>/puppet_mask.mat"
NOTHING = Kind(
    "no part of JHMDB-Sentences is here", f"--path is the folder that holds {FRAMES}/, {MASKS}/ and {SAMPLES}"
)
NO_FRAMES = Kind("video has no folder of frames", GET_FRAMES)
NO_FRAME = Kind("frame is not there", GET_FRAMES)
BROKEN_FRAME = Kind("frame cannot be decoded", GET_FRAMES)
NO_MAT = Kind("video has no puppet_mask.mat", GET_MASKS)
BAD_MAT = Kind("puppet_mask.mat cannot be read", GET_MASKS)
NO_PART_MASK = Kind("puppet_mask.mat has no part_mask [H, W, T]", GET_MASKS)
MAT_SIZE = Kind("part_mask is of another size than the frames", "get frames and masks of the same release")
SHORT_MAT = Kind("part_mask ends before a frame that is evaluated", GET_MASKS)
OTHER_LENGTH = Kind("part_mask has not as many frames as the list says", "", wrong=False)


@dataclass(frozen=True)
class Sample:
    """A row of the list; paths are relative to the data set's folder."""

    video: str
    frame: Path
    masks: Path
    length: int


def check(visit: Visit, report: Report) -> None:
    """Check JHMDB-Sentences under `visit.root`."""
    if not any((visit.root / part).exists() for part in (SAMPLES, FRAMES, MASKS, GROUND_TRUTH)):
        report.add(NOTHING, visit.root)
        return
    samples = read_samples(report, visit.root / SAMPLES, _parse)
    if samples is None:
        return
    videos: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        videos[sample.video].append(sample)
    report.fact(f"{len(samples)} samples of {len(videos)} videos")
    # Whether the frame's number keeps its zeros is nowhere written.
    images = [tuple(f"v_{s.video}_f_{frame}" for frame in (int(s.frame.stem), s.frame.stem)) for s in samples]
    check_ground_truth(report, visit.root / GROUND_TRUTH, images)
    _check_files(visit, report, list(videos.values()))


def _parse(row: object) -> Sample | None:
    """[video, frame path, mask path, frame count, sentence]; the paths' first part is a name of the data set."""
    if isinstance(row, list) and [type(value) for value in row] == [str, str, str, int, str]:
        frame, masks = (PurePosixPath(path).parts[1:] for path in row[1:3])
        inside = frame and masks and all(map(is_safe_name, (*frame, *masks)))
        if inside and as_number(Path(*frame).stem) and 0 < row[3] <= LONGEST_VIDEO and row[4].strip():
            return Sample(row[0], Path(*frame), Path(*masks), row[3])
    return None


def _check_files(visit: Visit, report: Report, videos: list[list[Sample]]) -> None:
    """Frames and masks; a folder that is missing as a whole is one line."""
    there = {part: (visit.root / part).is_dir() for part in (FRAMES, MASKS)}
    for part, kind in ((FRAMES, NO_FRAMES), (MASKS, NO_MAT)):
        if not there[part]:
            report.add(kind, f"{part}/ itself is not there", len(videos))
    sampled = visit.sampled(range(len(videos)))

    def examine(number: int) -> Found:
        size = None
        if there[FRAMES]:
            size = yield from _examine_frames(visit, videos[number], number in sampled)
        if there[MASKS]:
            yield from _examine_mat(visit, videos[number], size, number in sampled)

    examine_each(report, range(len(videos)), examine, "videos")


def _examine_frames(visit: Visit, samples: list[Sample], look_inside: bool) -> Found:
    """Check a video's frames; returns the (width, height) of the first that was opened, if any."""
    folder = visit.root / samples[0].frame.parent
    there = files_in(folder, ".png")
    if there is None:
        yield NO_FRAMES, f"{folder}"
        return None
    names = {f"{frame:05d}" for frame in range(1, samples[0].length + 1)} | {sample.frame.stem for sample in samples}
    first_size = None
    for name in sorted(names):
        file = folder / f"{name}.png"
        if not there.get(name):
            yield (EMPTY_FILE if name in there else NO_FRAME), f"{file}"
        elif visit.deep or (look_inside and first_size is None):
            try:
                size = image_size(file, visit.deep)
            except InputError as error:
                yield BROKEN_FRAME, str(error)
                continue
            if first_size not in (None, size):
                yield FRAME_SIZE, f"{file}: {size_text(size)}, the first has {size_text(first_size)}"
            first_size = first_size or size
    return first_size


def _examine_mat(visit: Visit, samples: list[Sample], size: tuple[int, int] | None, look_inside: bool) -> Found:
    file = visit.root / samples[0].masks
    if not file.is_file():
        yield NO_MAT, f"{file}"
        return
    if not look_inside:
        return
    try:
        masks = read_array(file, "part_mask")
    except InputError as error:
        yield BAD_MAT, str(error)
        return
    shape = None if masks is None else masks.shape
    if shape is None or len(shape) != 3:
        yield NO_PART_MASK, f"{file}: {'no part_mask' if shape is None else f'part_mask {list(shape)}'}"
        return
    if size is not None and (shape[1], shape[0]) != size:
        yield MAT_SIZE, f"{file}: {size_text((shape[1], shape[0]))}, the frames have {size_text(size)}"
    last = max(int(sample.frame.stem) for sample in samples)
    if shape[2] < last:
        yield SHORT_MAT, f"{file}: {shape[2]} frames, frame {last} is evaluated"
    elif shape[2] != samples[0].length:
        yield OTHER_LENGTH, f"{file}: {shape[2]} frames, the list says {samples[0].length}"
