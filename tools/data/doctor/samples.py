"""Checks that A2D- and JHMDB-Sentences share: sample lists and the ground truth of their test images."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tools.data.doctor.findings import Kind, Report
from tools.data.doctor.visit import UNREADABLE, read_json
from util.errors import InputError
from util.files import first_few
from util.referring_metrics import GroundTruth, read_ground_truth

Sample = TypeVar("Sample")

BAD_ROW = Kind("malformed sample in a list", "get the list again")
NO_GROUND_TRUTH = Kind("sample that the ground truth does not hold", "get list and ground truth of the same release")
NO_FILE = Kind("ground truth is not there", "get it where the sample list comes from; it is distributed with that")
NO_SENTENCE = Kind("ground-truth image without a sentence: predictions cannot cover it", "", wrong=False)


def read_samples(report: Report, file: Path, parse: Callable[[object], Sample | None]) -> list[Sample] | None:
    """The well-formed rows of a JSON list; `parse` gives None for others. None: the file cannot be used."""
    rows = read_json(report, file)
    if rows is None:
        return None
    if not isinstance(rows, list):
        report.add(UNREADABLE, f"{file}: must be a list of samples")
        return None
    samples = []
    for number, row in enumerate(rows):
        sample = parse(row)
        if sample is None:
            report.add(BAD_ROW, f"{file.name}, row {number}: {row!r}"[:200])
        else:
            samples.append(sample)
    return samples


def check_ground_truth(report: Report, file: Path, images: list[tuple[str, ...]]) -> None:
    """Check a ground truth and that it holds each image, given by the ids that it may have."""
    if not file.exists():
        report.add(NO_FILE, file)
        return
    truth = _read(report, file)
    if truth is None:
        return
    for ids in images:
        if not any(image_id in truth.masks for image_id in ids):
            report.add(NO_GROUND_TRUTH, ids[0])
    sentences = {image_id for ids in images for image_id in ids}
    silent = [str(image_id) for image_id in truth.masks if image_id not in sentences]
    report.fact(f"ground truth: {len(truth.masks)} images")
    if silent:
        report.add(NO_SENTENCE, first_few(silent, 3), len(silent))


def _read(report: Report, file: Path) -> GroundTruth | None:
    try:
        return read_ground_truth(file)
    except InputError as error:
        report.add(UNREADABLE, str(error))
        return None
