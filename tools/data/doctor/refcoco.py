"""RefCOCO/+/g: converted lists {set}/instances_{set}_{train,val}.json and COCO's images train2014/ (spec §5)."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tools.data.doctor.findings import Kind, Report
from tools.data.doctor.frames import EMPTY_FILE
from tools.data.doctor.visit import Found, Visit, examine_each, files_in, image_size, read_json, size_text
from util.coco_rle import checked_rle
from util.errors import InputError
from util.names import is_safe_name

SETS = ("refcoco", "refcoco+", "refcocog")
SPLITS = ("train", "val")
IMAGES = "train2014"
CONVERTER = "tools/data/convert_refexp_to_coco.py"

CONVERT = f"python {CONVERTER} --data_root DIR, where DIR holds REFER's refcoco/, refcoco+/ and refcocog/"
GET_IMAGES = f"download COCO's train2014 images (cocodataset.org) and unpack them in {IMAGES}/"
NOTHING = Kind(
    "no part of RefCOCO, RefCOCO+ or RefCOCOg is here",
    f"--path is the folder that holds {IMAGES}/ and refcoco/, refcoco+/ or refcocog/ from REFER",
)
NOT_CONVERTED = Kind("only REFER's files are there, not the lists made from them", CONVERT)
NO_LIST = Kind(
    "list is not there, and REFER's files are not either",
    f"download REFER's set (github.com/lichengunc/refer), then {CONVERT}",
)
BAD_LIST = Kind('list has no "images" and "annotations"', CONVERT)
BAD_IMAGE = Kind("malformed image entry in a list", CONVERT)
NO_CAPTION = Kind("image entry without a caption", CONVERT)
NOT_ONE_ANNOTATION = Kind("image entry has no annotation, or several", CONVERT)
BAD_MASK = Kind("malformed segmentation", CONVERT)
NO_IMAGE = Kind("image is not there", GET_IMAGES)
BROKEN_IMAGE = Kind("image cannot be decoded", GET_IMAGES)
IMAGE_SIZE = Kind("image is of another size than the lists say", GET_IMAGES)

Sizes = dict[str, tuple[int, int]]  # file name -> (width, height)


def check(visit: Visit, report: Report) -> None:
    """Check whichever of the three sets lie under `visit.root`."""
    there = [name for name in SETS if (visit.root / name).is_dir()]
    if not there:
        report.add(NOTHING, visit.root)
        return
    if len(there) < len(SETS):
        report.fact(f"{', '.join(name for name in SETS if name not in there)}: not here, not checked")
    sizes: Sizes = {}
    for name in there:
        for split in visit.splits or SPLITS:
            sizes.update(_check_list(visit, report, visit.root / name / f"instances_{name}_{split}.json"))
    if sizes:
        _check_images(visit, report, sizes)


def _check_list(visit: Visit, report: Report, file: Path) -> Sizes:
    """Check one list; returns the sizes of the images it names."""
    if not file.exists():
        pickles = any(file.parent.glob("refs(*).p"))
        report.add(NOT_CONVERTED if pickles else NO_LIST, file)
        return {}
    content = read_json(report, file)
    if content is None:
        return {}
    images, annotations = (content.get(k) if isinstance(content, dict) else None for k in ("images", "annotations"))
    if not (isinstance(images, list) and isinstance(annotations, list)):
        report.add(BAD_LIST, file)
        return {}
    entries = {entry["id"]: entry for entry in images if _well_formed(report, file, entry)}
    sizes = {entry["file_name"]: (entry["width"], entry["height"]) for entry in entries.values()}
    report.fact(f"{file.stem}: {len(images)} sentences, {len(sizes)} images")
    _check_annotations(visit, report, file, entries, annotations)
    return sizes


def _well_formed(report: Report, file: Path, entry: object) -> bool:
    """Whether an image entry can be used; a missing caption is reported besides."""
    where = f"{file.name}: {str(entry)[:120]}"
    values = [entry.get(key) for key in ("id", "width", "height", "file_name")] if isinstance(entry, dict) else [None]
    numbers = all(isinstance(value, int) and value >= 0 for value in values[:3])
    if not (numbers and is_safe_name(values[-1])):
        report.add(BAD_IMAGE, where)
        return False
    caption = entry.get("caption")
    if not (isinstance(caption, str) and caption.strip()):
        report.add(NO_CAPTION, where)
    return True


def _check_annotations(
    visit: Visit, report: Report, file: Path, entries: Mapping[int, dict], annotations: list
) -> None:
    """One annotation an image; its mask too, if deep."""
    named = (entry for entry in annotations if isinstance(entry, dict) and isinstance(entry.get("image_id"), int))
    annotations = [entry for entry in named if entry["image_id"] in entries]
    counts = Counter(entry["image_id"] for entry in annotations)
    for image_id in entries:
        if counts[image_id] != 1:
            report.add(NOT_ONE_ANNOTATION, f"{file.name}: image {image_id}: {counts[image_id]} annotations")
    for entry in annotations if visit.deep else ():
        image = entries[entry["image_id"]]
        try:
            checked_rle(entry.get("segmentation"), (image["height"], image["width"]), f"image {image['id']}")
        except InputError as error:
            report.add(BAD_MASK, f"{file.name}: {error}")


def _check_images(visit: Visit, report: Report, sizes: Sizes) -> None:
    folder = visit.root / IMAGES
    there = files_in(folder, ".jpg")
    if there is None:
        report.add(NO_IMAGE, f"{IMAGES}/ itself is not there", len(sizes))
        return
    names = sorted(sizes)
    sampled = visit.sampled(names)

    def examine(name: str) -> Found:
        stem = name.removesuffix(".jpg")
        if not there.get(stem):
            yield (EMPTY_FILE if stem in there else NO_IMAGE), f"{folder / name}"
        elif name in sampled:
            try:
                size = image_size(folder / name, visit.deep)
            except InputError as error:
                yield BROKEN_IMAGE, str(error)
                return
            if size != sizes[name]:
                yield IMAGE_SIZE, f"{folder / name}: {size_text(size)}, the lists say {size_text(sizes[name])}"

    examine_each(report, names, examine, "images")
