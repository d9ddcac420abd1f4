"""Ref-DAVIS17, as downloaded (DAVIS/ and davis_text_annotations/) and as converted to Ref-YouTube-VOS's layout."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.data.convert_davis_to_ytvos import ANNOTATIONS, LINE, MISSPELT
from tools.data.convert_davis_to_ytvos import SPLITS as DAVIS_NAMES
from tools.data.doctor import ytvos
from tools.data.doctor.findings import Kind, Report
from tools.data.doctor.frames import VideoFiles, examine_content, examine_names
from tools.data.doctor.visit import UNREADABLE, Found, Visit, examine_each, files_in, read_json
from util.names import is_safe_name

SPLITS = ("train", "valid")
RULES = ytvos.SplitRules(published={"train": 60, "valid": 30}, all_described=False)
CONVERTER = "tools/data/convert_davis_to_ytvos.py"

NOTHING = Kind(
    "no part of Ref-DAVIS17 is here",
    "--path is the folder that holds DAVIS/ (DAVIS 2017, unsupervised masks, 480p) and davis_text_annotations/",
)
NO_PART = Kind(
    "part of the download is not there",
    "DAVIS 2017 comes from davischallenge.org (Unsupervised, 480p; davis_semantics.json lies beside it), "
    "davis_text_annotations/ from the Ref-DAVIS17 page of Khoreva et al.",
)
NO_FRAMES = Kind("listed video has no frames", "unpack DAVIS 2017's 480p frames; the converter leaves such videos out")
NO_SEMANTICS = Kind("listed video is not in davis_semantics.json", "download the whole davis_semantics.json")
BAD_LINE = Kind('line is not  video object-id "expression"', "download the file again")
NO_EXPRESSION = Kind("object has no expression in one of the four annotations", "download the four files again")
NO_SCORING = Kind(
    "eval_davis.py needs DAVIS/ too, which is not here", "nothing, unless results are to be scored", wrong=False
)

Described = dict[str, dict[str, set[int]]]  # video -> object id -> annotations (0…3) that describe it


def check(visit: Visit, report: Report) -> None:
    """Check Ref-DAVIS17 under `visit.root`, in whichever layouts are there."""
    downloaded = any((visit.root / part).is_dir() for part in ("DAVIS", "davis_text_annotations"))
    converted = any(ytvos.is_there(visit.root, split) for split in SPLITS)
    if not (downloaded or converted):
        report.add(NOTHING, visit.root)
        return
    layouts = [name for name, there in (("as downloaded", downloaded), ("as converted", converted)) if there]
    report.fact(f"found: {' and '.join(layouts)}")
    if downloaded:
        _check_download(visit, report)
    else:
        report.add(NO_SCORING, visit.root / "DAVIS")
    if converted:
        for split in visit.choose_splits(report, SPLITS, lambda split: ytvos.is_there(visit.root, split)):
            ytvos.check_split(visit, report, split, RULES)
    else:
        report.add(_not_converted(visit.root), f"meta_expressions/ and {'/, '.join(SPLITS)}/ are not there")


def _not_converted(root: Path) -> Kind:
    return Kind(
        "converted layout, which training and inference read, is not there: only the downloaded one is",
        f"python {CONVERTER} --davis_path {root}",
    )


def _check_download(visit: Visit, report: Report) -> None:
    """What the converter will read."""
    davis, texts = visit.root / "DAVIS", visit.root / "davis_text_annotations"
    images, masks = davis / "JPEGImages" / "480p", davis / "Annotations_unsupervised" / "480p"
    semantics_file = davis / "davis_semantics.json"
    for part in (images, masks, semantics_file, *(texts / name for name, _ in ANNOTATIONS)):
        if not part.exists():
            report.add(NO_PART, part)
    semantics = _read_semantics(report, semantics_file) if semantics_file.exists() else None
    described = _read_expressions(report, texts)
    for listed, split in DAVIS_NAMES.items():
        if visit.splits and split not in visit.splits:
            continue
        names = _read_list(report, davis / "ImageSets" / "2017" / f"{listed}.txt")
        report.fact(f"{split}, as downloaded: {len(names)} videos listed (published: {RULES.published[split]})")
        if semantics is not None:
            _check_descriptions(report, names, semantics, described)
        if images.is_dir():
            _check_files(visit, report, names, images, masks)


def _read_list(report: Report, file: Path) -> list[str]:
    try:
        names = file.read_text(encoding="utf-8-sig").split()
        for name in names:
            if not is_safe_name(name):
                report.add(UNREADABLE, f"{file}: {name!r} is not a video's name")
        return list(filter(is_safe_name, names))
    except FileNotFoundError:
        report.add(NO_PART, file)
    except (OSError, UnicodeDecodeError) as error:
        report.add(UNREADABLE, f"{file}: {error}")
    return []


def _read_semantics(report: Report, file: Path) -> dict[str, list[str]] | None:
    """video -> object ids."""
    content = read_json(report, file)
    if isinstance(content, dict) and all(isinstance(objects, dict) for objects in content.values()):
        return {video: list(objects) for video, objects in content.items()}
    if content is not None:
        report.add(UNREADABLE, f"{file}: must map videos to objects")
    return None


def _read_expressions(report: Report, texts: Path) -> Described:
    described: Described = {}
    for annotation, (name, encoding) in enumerate(ANNOTATIONS):
        file = texts / name
        if not file.exists():
            continue
        try:
            lines = file.read_bytes().decode(encoding).split("\n")
        except (OSError, UnicodeDecodeError) as error:
            report.add(UNREADABLE, f"{file}: {error}")
            continue
        for number, line in enumerate(map(str.strip, lines), start=1):
            match = LINE.fullmatch(line)
            if match and match["text"].strip():
                video = MISSPELT.get(match["video"], match["video"])
                described.setdefault(video, {}).setdefault(match["object"], set()).add(annotation)
            elif line:
                report.add(BAD_LINE, f"{file}, line {number}: {line!r}")
    return described


def _check_descriptions(
    report: Report, names: Iterable[str], semantics: Mapping[str, list[str]], described: Described
) -> None:
    for video in names:
        if video not in semantics:
            report.add(NO_SEMANTICS, video)
        for key in semantics.get(video, ()):
            missing = set(range(len(ANNOTATIONS))) - described.get(video, {}).get(key, set())
            for annotation in sorted(missing):
                report.add(NO_EXPRESSION, f"{video}, object {key}: {ANNOTATIONS[annotation][0]}")


def _check_files(visit: Visit, report: Report, names: list[str], images: Path, masks: Path) -> None:
    """Frames and masks of the listed videos; without a list of frames, those on disk are what there is."""
    sampled = visit.sampled(names)

    def examine(name: str) -> Found:
        frames = files_in(images / name, ".jpg")
        if not frames:
            yield NO_FRAMES, f"{images / name}"
            return
        video = VideoFiles(images / name, masks / name, tuple(frames), masks_needed=masks.is_dir())
        yield from examine_names(video)
        if name in sampled:
            yield from examine_content(video, visit.deep)

    examine_each(report, names, examine, "as downloaded")
