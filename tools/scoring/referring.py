"""Score A2D-Sentences and JHMDB-Sentences predictions: average precision, P@K and IoUs (spec §6)."""

from tools.scoring.evaluation import Evaluation, Request
from tools.scoring.page import Page, Table
from tools.scoring.tracks import csv_text
from util.referring_metrics import read_ground_truth, read_predictions, referring_scores


def evaluate(request: Request) -> Evaluation:
    """Score a predictions JSON against a ground-truth JSON. Raises InputError where anything given is wrong.

    An image without a prediction counts as 0, so a part of a set cannot look better than it is.
    """
    truth = read_ground_truth(request.ground_truth)
    scores = referring_scores(truth, read_predictions(request.results), str(request.results))
    figures = scores.as_dict()
    facts = [f"{scores.images} images, {scores.without_prediction} of them without a prediction, which count as 0"]
    measures = {name: value for name, value in figures.items() if isinstance(value, float)}
    lines = [f"{name:28} {value:8.4f}" for name, value in measures.items()]
    page = Page(
        title=f"{request.dataset}: {request.results}",
        facts=[*facts, "An average precision of -1: the ground truth holds no object of that size."],
        tables=[Table("Scores", ("measure", "score"), list(measures.items()))],
    )
    return Evaluation("\n".join([*lines, *facts]), figures, csv_text([figures]), lambda: page)
