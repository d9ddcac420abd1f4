"""Ref-YouTube-VOS: <split>/{JPEGImages,Annotations,meta.json} and meta_expressions/<split>/ (spec §5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.expressions import LARGEST_OBJECT_ID, VideoEntry, read_meta_expressions
from tools.data.doctor.findings import Kind, Report
from tools.data.doctor.frames import VideoFiles, examine_content, examine_names
from tools.data.doctor.visit import UNREADABLE, Found, Visit, examine_each, read_json
from util.errors import InputError
from util.names import as_number

SPLITS = ("train", "valid", "test")
PUBLISHED = {"train": 3471, "valid": 202, "test": 305}  # videos
LISTED_AS_VALID = PUBLISHED["valid"] + PUBLISHED["test"]

SAME_RELEASE = "get meta.json and meta_expressions.json of the same release of the data set"
NOTHING = Kind(
    "no part of Ref-YouTube-VOS is here",
    "--path is the folder that holds meta_expressions/ and train/, valid/ or test/; the benchmark's site has them",
)
NO_IMAGES = Kind(
    "folder of frames is not there",
    "unpack the split's JPEGImages there; Ref-YouTube-VOS distributes the test videos' frames with valid's: "
    "link test/JPEGImages to valid/JPEGImages where only those are there",
)
NO_MASKS = Kind("folder of masks is not there", "unpack the split's Annotations there")
NO_TEST_LIST = Kind(
    f"list of {LISTED_AS_VALID} videos in which validation and test cannot be told apart",
    f"put test's meta_expressions.json in place: validation is valid − test, "
    f"{PUBLISHED['valid']} = {LISTED_AS_VALID} − {PUBLISHED['test']} videos",
)
BAD_META = Kind("entry of meta.json is malformed", "get the data set's own meta.json again")
NOT_IN_META = Kind("video has expressions but is not in meta.json", SAME_RELEASE)
NO_CATEGORY = Kind("object without a category", SAME_RELEASE)
NO_OBJECT = Kind("expression of an object that meta.json does not list", SAME_RELEASE)
NO_OBJECT_ID = Kind('expression without "obj_id": it says nothing to learn', SAME_RELEASE)
UNLISTED_VIDEO = Kind("folder of frames that no list names", "nothing: it is not read", wrong=False)


@dataclass(frozen=True)
class SplitRules:
    """What differs between data sets of this layout: published videos a split, and `VideoFiles.all_described`."""

    published: Mapping[str, int]
    all_described: bool = True


def check(visit: Visit, report: Report) -> None:
    """Check Ref-YouTube-VOS under `visit.root`."""
    splits = visit.choose_splits(report, SPLITS, lambda split: is_there(visit.root, split))
    if not splits:
        report.add(NOTHING, visit.root)
    for split in splits:
        check_split(visit, report, split, SplitRules(PUBLISHED))


def is_there(root: Path, split: str) -> bool:
    """Whether any part of a split is."""
    return (root / split).exists() or _list_file(root, split).exists()


def check_split(visit: Visit, report: Report, split: str, rules: SplitRules) -> None:
    """Check one split of a data set in this layout."""
    folder = visit.root / split
    everything = _read_list(report, _list_file(visit.root, split))
    if everything is None:
        return
    videos = _without_test(visit, report, everything) if split == "valid" else everything
    sentences = [expression for video in videos for expression in video.expressions]
    report.fact(
        f"{split}: {len(videos)} videos (published: {rules.published[split]}), {len(sentences)} expressions, "
        f"{sum(len(video.frames) for video in videos)} frames"
    )
    annotated = split == "train" or any(expression.obj_id for expression in sentences)
    meta = _read_meta(report, folder / "meta.json", videos) if annotated else None
    if not (folder / "JPEGImages").is_dir():
        report.add(NO_IMAGES, folder / "JPEGImages")
        return
    masks_needed = annotated and (folder / "Annotations").is_dir()
    if annotated and not masks_needed:
        report.add(NO_MASKS, folder / "Annotations")
    files = [_video_files(folder, video, masks_needed, meta, rules) for video in videos]
    sampled = visit.sampled(range(len(files)))

    def examine(number: int) -> Found:
        yield from examine_names(files[number])
        if number in sampled:
            yield from examine_content(files[number], visit.deep)

    examine_each(report, range(len(files)), examine, split)
    for extra in sorted({entry.name for entry in (folder / "JPEGImages").iterdir()} - {v.name for v in everything}):
        if not extra.startswith("."):
            report.add(UNLISTED_VIDEO, folder / "JPEGImages" / extra)


def _list_file(root: Path, split: str) -> Path:
    return root / "meta_expressions" / split / "meta_expressions.json"


def _read_list(report: Report, file: Path) -> list[VideoEntry] | None:
    try:
        return read_meta_expressions(file)
    except InputError as error:
        report.add(UNREADABLE, str(error))
        return None


def _without_test(visit: Visit, report: Report, videos: list[VideoEntry]) -> list[VideoEntry]:
    """The distributed valid list holds the test videos too; validation is what remains."""
    test = _list_file(visit.root, "test")
    if not test.exists():
        if len(videos) == LISTED_AS_VALID:
            report.add(NO_TEST_LIST, _list_file(visit.root, "valid"))
        return videos
    names = {video.name for video in _read_list(report, test) or ()}
    rest = [video for video in videos if video.name not in names]
    if len(rest) < len(videos):
        report.fact(
            f"valid lists {len(videos)} videos, {len(videos) - len(rest)} of them test's: validation is the other "
            f"{len(rest)} = {len(videos)} − {len(videos) - len(rest)}, and they alone are checked as valid"
        )
    return rest


def _read_meta(report: Report, file: Path, videos: list[VideoEntry]) -> dict[str, dict[int, frozenset[str]]]:
    """video → object id → frames that show it, as far as meta.json is well-formed; reports where it is not."""
    content = read_json(report, file)
    if content is None:
        return {}
    entries = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        report.add(BAD_META, f'{file}: no object "videos" at its top')
        return {}
    meta = {}
    for video in videos:
        entry = entries.get(video.name)
        if entry is None:
            report.add(NOT_IN_META, video.name)
        elif not (isinstance(entry, dict) and isinstance(entry.get("objects"), dict)):
            report.add(BAD_META, f'{video.name}: no object "objects"')
        else:
            meta[video.name] = _read_objects(report, video.name, entry["objects"])
            _check_expressions(report, video, meta[video.name])
    return meta


def _read_objects(report: Report, video: str, objects: Mapping[str, object]) -> dict[int, frozenset[str]]:
    read = {}
    for key, content in objects.items():
        where = f"{video}: object {key!r}"
        known_id = 1 <= (as_number(key) or 0) <= LARGEST_OBJECT_ID
        frames = content.get("frames", []) if isinstance(content, dict) else None
        if not (known_id and isinstance(frames, list) and all(isinstance(frame, str) for frame in frames)):
            report.add(BAD_META, where)
            continue
        read[int(key)] = frozenset(frames)
        if not (isinstance(content.get("category"), str) and content["category"]):
            report.add(NO_CATEGORY, where)
    return read


def _check_expressions(report: Report, video: VideoEntry, objects: Mapping[int, frozenset[str]]) -> None:
    for expression in video.expressions:
        where = f"{video.name}: expression {expression.id} ({expression.text!r})"
        if expression.obj_id is None:
            report.add(NO_OBJECT_ID, where)
        elif int(expression.obj_id) not in objects:
            report.add(NO_OBJECT, f"{where}: object {expression.obj_id}")


def _video_files(
    folder: Path, video: VideoEntry, masks_needed: bool, meta: Mapping[str, Mapping] | None, rules: SplitRules
) -> VideoFiles:
    return VideoFiles(
        images=folder / "JPEGImages" / video.name,
        masks=folder / "Annotations" / video.name,
        frames=video.frames,
        masks_needed=masks_needed,
        objects=(meta or {}).get(video.name),
        all_described=rules.all_described,
    )
