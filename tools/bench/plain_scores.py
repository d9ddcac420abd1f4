"""The DAVIS scores as a reader of their definition would write them, frame by frame and pair by pair (spec §6)."""

import math
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from util.mask_io import read_label_map
from util.processes import process_map


def plain_scores(truth: Path, results: Path, names: list[str], processes: int) -> float:
    """Mean (J + F) / 2 of the task unsupervised, over the objects of the sequences `names`."""
    with process_map(processes, __name__) as mapped:
        scores = list(mapped(partial(plain_sequence, truth, results), names))
    return float(np.mean([score for objects in scores for score in objects]))


def plain_sequence(truth: Path, results: Path, name: str) -> list[float]:
    """(J + F) / 2 of each object of a sequence with the proposal that is matched to it."""
    paths = sorted((truth / name).glob("*.png"))
    true = [read_label_map(path) for path in paths]
    ours = [read_label_map(results / name / path.name) for path in paths]
    objects = int(true[0].max())
    proposals = max(objects, *(int(labels.max()) for labels in ours))
    scores = np.zeros((proposals, objects))
    for p in range(proposals):
        for o in range(objects):
            pairs = [(a == p + 1, b == o + 1) for a, b in zip(ours, true, strict=True)]
            scores[p, o] = np.mean([(plain_j(*pair) + plain_f(*pair)) / 2 for pair in pairs])
    return scores[linear_sum_assignment(-scores)].tolist()


def plain_j(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    union = (prediction | truth).sum()
    return (prediction & truth).sum() / union if union else 1.0


def plain_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Boundary accuracy."""
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (y**2 + x**2 <= radius**2).astype(np.uint8)
    ours, true = plain_boundary(prediction), plain_boundary(truth)
    if not ours.any() or not true.any():
        return float(ours.any() == true.any())
    precision = (ours & (cv2.dilate(true.astype(np.uint8), disk) > 0)).sum() / ours.sum()
    recall = (true & (cv2.dilate(ours.astype(np.uint8), disk) > 0)).sum() / true.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def plain_boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their east, south or south-east neighbour."""
    found = np.zeros_like(mask)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    found[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return found
