"""Region similarity J and boundary accuracy F (Perazzi et al., CVPR 2016; spec §6): the one definition of both.

P proposals of a prediction and O objects of the truth are compared all at once, every pair of them.
"""

import math

import numpy as np

from davis2017.label_map import LabelMap

TOLERANCE = 0.008  # of the image's diagonal: boundaries this near each other agree


def region_similarity(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:
    """J: intersection over union of two masks ([H, W] bool); 1 where both are empty.

    Pixels of `void` ([H, W] bool) belong to neither mask. Raises ValueError where sizes differ.
    """
    return float(region_similarities(*_one_object_each(prediction, truth, void, TOLERANCE))[0, 0])


def boundary_accuracy(
    prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None, tolerance: float = TOLERANCE
) -> float:
    """F: harmonic mean of the shares of either boundary that is near the other one.

    A boundary's pixels differ from their east, south or south-east neighbour; near is within a disk of radius
    ⌈tolerance · diagonal⌉. 1 where both boundaries are empty, 0 where one is. Masks, `void` and errors as above.
    """
    return float(boundary_accuracies(*_one_object_each(prediction, truth, void, tolerance))[0, 0])


def region_similarities(prediction: LabelMap, truth: LabelMap) -> np.ndarray:
    """[P, O] J of every proposal with every object of one frame."""
    pixels = shared_pixels(prediction, truth)
    intersection = pixels[1:, 1:]
    union = pixels.sum(axis=1)[1:, None] + pixels.sum(axis=0)[1:] - intersection
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def boundary_accuracies(prediction: LabelMap, truth: LabelMap) -> np.ndarray:
    """[P, O] F of every proposal with every object of one frame."""
    proposals, objects = _one_hot(prediction.boundary.members), _one_hot(truth.boundary.members)
    hits = proposals.T @ _one_hot(truth.near(prediction.boundary))
    found = _one_hot(prediction.near(truth.boundary)).T @ objects
    lengths = proposals.sum(axis=0)[:, None], objects.sum(axis=0)[None]
    scores = _f_measure(hits, found, *lengths)
    return scores[: prediction.count, : truth.count]


def shared_pixels(prediction: LabelMap, truth: LabelMap) -> np.ndarray:
    """[P + 1, O + 1] float64: how many pixels are of proposal p and object o; 0 is background, only near objects.

    Runs of pixels are counted, not pixels: a frame has a few thousand.
    """
    tops, lefts, bottoms, rights = zip(prediction.box, truth.box, strict=True)
    box = slice(min(tops), max(bottoms)), slice(min(lefts), max(rights))
    ours, true = (labels.ids[box].reshape(-1) for labels in (prediction, truth))
    starts = np.flatnonzero((ours[1:] != ours[:-1]) | (true[1:] != true[:-1])) + 1
    starts = np.concatenate([[0], starts])[: ours.size]
    pairs = ours[starts].astype(np.int64) * (truth.count + 1) + true[starts]
    shape = prediction.count + 1, truth.count + 1
    counts = np.bincount(pairs, np.diff(starts, append=ours.size), minlength=math.prod(shape))
    return counts.reshape(shape)


def tolerance_radius(height: int, width: int, tolerance: float = TOLERANCE) -> int:
    """The radius in pixels within which boundaries of such an image agree."""
    return math.ceil(tolerance * math.hypot(height, width))


def _f_measure(hits: np.ndarray, found: np.ndarray, ours: np.ndarray, true: np.ndarray) -> np.ndarray:
    """`hits` of `ours` boundary pixels are near the truth's, `found` of its `true` ones are near ours."""
    precision = hits.astype(np.float64) / np.maximum(ours, 1)
    recall = found.astype(np.float64) / np.maximum(true, 1)
    total = precision + recall
    scores = 2 * precision * recall / np.where(total == 0, 1, total)
    return np.where((ours == 0) & (true == 0), 1.0, scores)


def _one_hot(members: np.ndarray) -> np.ndarray:
    """[N, P] sets of objects → [N, 8·P] float32, 1 where an object is in the set; counts up to 2²⁴ are exact."""
    return np.unpackbits(members, axis=1).astype(np.float32)


def _one_object_each(
    prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None, tolerance: float
) -> tuple[LabelMap, LabelMap]:
    masks = [np.asarray(mask) != 0 for mask in (prediction, truth)]
    valid = np.ones_like(masks[1]) if void is None else np.asarray(void) == 0
    if masks[1].ndim != 2 or not masks[0].shape == masks[1].shape == valid.shape:
        shapes = ", ".join(str(mask.shape) for mask in (*masks, valid))
        raise ValueError(f"masks must be [height, width], of one size; they are {shapes}")
    radius = tolerance_radius(*valid.shape, tolerance)
    ours, true = (LabelMap((mask & valid).astype(np.uint8), 1, radius) for mask in masks)
    return ours, true
