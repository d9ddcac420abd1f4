"""Scores of A2D-Sentences, JHMDB-Sentences and RefCOCO/+/g: average precision, P@K and IoUs (spec §6).

Ground truth is a COCO file with one object an image; predictions are a list of {"image_id", "segmentation": RLE,
"score"}, every query of every image. Masks stay run-length encoded (RLE) throughout, so memory does not grow with
their pixels.
"""

import io
import json
import os
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import astuple, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle_ops
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from util.coco_rle import Rle, checked_rle
from util.errors import InputError

PRECISION_AT = (0.5, 0.6, 0.7, 0.8, 0.9)
SMOOTHING = 1e-6  # an image's IoU is (intersection + this) / (union + this)
MAX_QUERIES = 100  # COCO's limit: of more masks an image, average precision sees the best-scored ones

ImageId = Hashable  # str in A2D and JHMDB, int in RefCOCO


@dataclass(frozen=True)
class AveragePrecision:
    """COCO segmentation average precision; −1 for a size of which the ground truth holds no object."""

    mean: float  # over IoU thresholds 0.5, 0.55, … 0.95
    at_50: float
    at_75: float
    small: float  # under 32² pixels, mean over thresholds
    medium: float
    large: float  # over 96² pixels


@dataclass(frozen=True)
class ReferringScores:
    """All scores of one evaluation.

    all_queries         average precision as papers report it: every query counts as a detection
    best_query          average precision of what a user gets: the best-scored query alone
    precision_at        share of images whose IoU is greater than each of PRECISION_AT; the smoothing lets an IoU
                        of exactly that level pass
    overall_iou         sum of intersections over sum of unions
    mean_iou            mean of the images' IoUs
    images              ground-truth images, the denominator of all of the above
    without_prediction  how many of them have no prediction and count as 0
    """

    all_queries: AveragePrecision
    best_query: AveragePrecision
    precision_at: tuple[float, ...]
    overall_iou: float
    mean_iou: float
    images: int
    without_prediction: int

    def as_dict(self) -> dict[str, float]:
        """Name → number, for logs and JSON, under the names that the release prints."""
        names = ("mAP 0.5:0.95", "AP 0.5", "AP 0.75", "AP 0.5:0.95 S", "AP 0.5:0.95 M", "AP 0.5:0.95 L")
        return {
            **dict(zip(names, astuple(self.all_queries), strict=True)),
            **{f"P@{level}": share for level, share in zip(PRECISION_AT, self.precision_at, strict=True)},
            "overall_iou": self.overall_iou,
            "mean_iou": self.mean_iou,
            **{f"{name} (best query)": ap for name, ap in zip(names, astuple(self.best_query), strict=True)},
            "images": self.images,
            "images without prediction": self.without_prediction,
        }


@dataclass(frozen=True)
class TrueMask:
    """The one object of an image; `area` in pixels as the file says, `crowd` as in COCO."""

    rle: Rle
    area: float
    crowd: bool


@dataclass(frozen=True)
class GroundTruth:
    """Checked ground truth: image id → mask; `source` is the file's name for messages."""

    source: str
    masks: Mapping[ImageId, TrueMask]


@dataclass(frozen=True)
class ScoredMask:
    """A prediction, checked."""

    rle: Rle
    score: float


Predictions = Mapping[ImageId, Sequence[ScoredMask]]  # in the order they were given


def read_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Read and check a COCO file with exactly one annotation an image (RLE or polygons).

    Raises:
        InputError: the file is missing or malformed; the message names file and image.
    """
    return ground_truth_from(_read_json(path), os.fspath(path))


def ground_truth_from(content: object, source: str = "ground truth") -> GroundTruth:
    """Check the content of such a COCO file; `source` names it in messages. Raises InputError."""
    images, annotations = (content.get(k) if isinstance(content, dict) else None for k in ("images", "annotations"))
    if not (isinstance(images, list) and isinstance(annotations, list) and images):
        raise InputError(f'{source}: not a COCO ground truth: lists "images" and "annotations" are needed')
    sizes = dict(_image_size(image, source) for image in images)
    masks = {}
    for annotation in annotations:
        image_id = _known_image(annotation, sizes, f"{source}: an annotation")
        where = f"{source}: image {image_id!r}"
        if image_id in masks:
            raise InputError(f"{where}: two annotations; a sentence names one object, so each image has one")
        rle = checked_rle(annotation.get("segmentation"), sizes[image_id], where)
        area = annotation.get("area")
        masks[image_id] = TrueMask(
            rle=rle,
            area=float(area) if _is_number(area) else float(rle_ops.area(rle)),
            crowd=bool(annotation.get("iscrowd", 0)),
        )
    for image_id in sizes:
        if image_id not in masks:
            raise InputError(f"{source}: image {image_id!r}: no annotation; each image needs one")
    return GroundTruth(source, masks)


def read_predictions(path: str | os.PathLike) -> list:
    """Read a JSON list of predictions; `referring_scores` checks what is in it. Raises InputError."""
    return _as_list(_read_json(path), os.fspath(path))


def referring_scores(truth: GroundTruth, predictions: list, source: str = "predictions") -> ReferringScores:
    """Score predictions against ground truth.

    Args:
        truth: what `read_ground_truth` returned.
        predictions: list of {"image_id", "segmentation": RLE, "score"}; other keys are ignored and nothing is
            changed. Where scores of an image are equal, the last of them is its best.
        source: names the predictions in messages.

    Raises:
        InputError: not a list, an image that the ground truth has not, another size than the image's, a malformed
            RLE, or a score that is not a finite number.
    """
    by_image = _checked_predictions(truth, predictions, source)
    best = {image_id: [_best(masks)] for image_id, masks in by_image.items()}
    overlaps = np.array([_overlap(true, best.get(image_id)) for image_id, true in truth.masks.items()])
    found = np.array([image_id in best for image_id in truth.masks])
    intersections, unions = overlaps.T
    # An image without a prediction scores 0 even where its true mask is empty.
    ious = np.where(found, (intersections + SMOOTHING) / (unions + SMOOTHING), 0.0)
    return ReferringScores(
        all_queries=_average_precision(truth, by_image),
        best_query=_average_precision(truth, best),
        precision_at=tuple(float((ious > level).mean()) for level in PRECISION_AT),
        overall_iou=float(intersections.sum() / max(unions.sum(), 1)),
        mean_iou=float(ious.mean()),
        images=len(truth.masks),
        without_prediction=int((~found).sum()),
    )


def _image_size(image: object, source: str) -> tuple[ImageId, tuple[int, int]]:
    """(id, (H, W)) of an entry of "images"."""
    values = [image.get(key) for key in ("id", "height", "width")] if isinstance(image, dict) else [None] * 3
    image_id, height, width = values
    if isinstance(image_id, str | int) and all(isinstance(side, int) and side > 0 for side in (height, width)):
        return image_id, (height, width)
    raise InputError(f'{source}: an image needs "id", "height" and "width", found {str(image)[:200]}')


def _known_image(entry: object, images: Mapping[ImageId, Any], where: str) -> ImageId:
    """The image id of an annotation or prediction."""
    image_id = entry.get("image_id") if isinstance(entry, dict) else None
    if not isinstance(image_id, str | Integral):
        raise InputError(f'{where}: "image_id" must be text or a whole number, found {image_id!r}')
    if image_id not in images:
        raise InputError(f"{where} is for image {image_id!r}, which the ground truth does not list; is it another set?")
    return image_id


def _checked_predictions(truth: GroundTruth, predictions: object, source: str) -> Predictions:
    """Predictions by image, each in the order given."""
    by_image: dict[ImageId, list[ScoredMask]] = {}
    for number, entry in enumerate(_as_list(predictions, source)):
        where = f"{source}: prediction {number}"
        image_id = _known_image(entry, truth.masks, where)
        where = f"{where}, image {image_id!r}"
        score = entry.get("score")
        if not _is_number(score):
            raise InputError(f'{where}: "score" must be a finite number, it is {score!r}')
        size = tuple(truth.masks[image_id].rle["size"])
        rle = checked_rle(entry.get("segmentation"), size, where)
        by_image.setdefault(image_id, []).append(ScoredMask(rle, float(score)))
    return by_image


def _is_number(value: object) -> bool:
    # Not math.isfinite: JSON holds whole numbers that no float can.
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _as_list(predictions: object, source: str) -> list:
    if not isinstance(predictions, list):
        raise InputError(f"{source}: must be a list of predictions, it is {type(predictions).__name__}")
    return predictions


def _best(masks: Sequence[ScoredMask]) -> ScoredMask:
    """The best-scored mask; of equal scores the last."""
    return max(reversed(masks), key=lambda mask: mask.score)


def _overlap(true: TrueMask, chosen: Sequence[ScoredMask] | None) -> tuple[int, int]:
    """Pixels of (intersection, union); no prediction is an empty mask."""
    true_pixels = int(rle_ops.area(true.rle))
    if chosen is None:
        return 0, true_pixels
    rle = chosen[0].rle
    both = int(rle_ops.area(rle_ops.merge([true.rle, rle], intersect=True)))
    return both, true_pixels + int(rle_ops.area(rle)) - both


def _average_precision(truth: GroundTruth, predictions: Predictions) -> AveragePrecision:
    """pycocotools' segmentation AP with `useCats=0`."""
    # pycocotools orders equal scores by image id: sorting first, then numbering, keeps its order for ids of any type.
    order = sorted(truth.masks, key=lambda image_id: (isinstance(image_id, str), image_id))
    with redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_true_objects(truth, order), _detections(truth, predictions, order), "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [MAX_QUERIES]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, :, 0]  # [IoU thresholds, recalls, areas]

    def mean(levels: slice = slice(None), area: int = 0) -> float:
        chosen = precision[levels, :, area]
        return float(chosen[chosen > -1].mean()) if (chosen > -1).any() else -1.0

    small, medium, large = (mean(area=area) for area in (1, 2, 3))
    return AveragePrecision(mean(), mean(slice(0, 1)), mean(slice(5, 6)), small, medium, large)


def _true_objects(truth: GroundTruth, order: Sequence[ImageId]) -> COCO:
    def entry(true: TrueMask) -> dict[str, Any]:
        return {"segmentation": true.rle, "area": true.area, "iscrowd": int(true.crowd)}

    return _coco(truth, order, ((image_id, entry(truth.masks[image_id])) for image_id in order))


def _detections(truth: GroundTruth, predictions: Predictions, order: Sequence[ImageId]) -> COCO:
    def entry(mask: ScoredMask) -> dict[str, Any]:
        return {"segmentation": mask.rle, "area": float(rle_ops.area(mask.rle)), "iscrowd": 0, "score": mask.score}

    return _coco(
        truth, order, ((image_id, entry(mask)) for image_id in order for mask in predictions.get(image_id, ()))
    )


def _coco(truth: GroundTruth, order: Sequence[ImageId], entries: Iterable[tuple[ImageId, dict[str, Any]]]) -> COCO:
    """pycocotools' index over entries made here: its own `loadRes` writes into the caller's list."""
    numbers = {image_id: number for number, image_id in enumerate(order, start=1)}
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": number, **dict(zip(("height", "width"), truth.masks[image_id].rle["size"], strict=True))}
            for image_id, number in numbers.items()
        ],
        "categories": [{"id": 1}],
        # Ids start at 1: to pycocotools, a match with object 0 is no match.
        "annotations": [
            {**entry, "id": i, "image_id": numbers[image_id], "category_id": 1}
            for i, (image_id, entry) in enumerate(entries, start=1)
        ],
    }
    coco.createIndex()
    return coco


def _read_json(path: str | os.PathLike) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{os.fspath(path)}: not valid JSON ({error}); write or download it again") from error
