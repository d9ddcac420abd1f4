"""Two folders of results in pictures: frame, both results and the truth beside each other, and the page of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tools.scoring.agreement import Agreement, read_labels
from tools.scoring.page import Table, document, titled
from tools.scoring.pictures import frame_or_blank
from tools.scoring.ytvos_truth import Truth
from util.captions import PALE, Caption, captioned
from util.files import first_few
from util.visualize import contact_sheet, distinct_colors, overlay

ROWS = 3  # frames of an expression: from the one where the results agree least to the one where they agree most
CELL = 420  # pixels
COLORS = dict(zip(("A", "B", "truth"), distinct_colors(3), strict=True))


@dataclass(frozen=True)
class Comparison:
    """Two folders compared: `found` are their shared tracks, the least alike first; `lonely` has only one of them."""

    results: tuple[Path, Path]
    frames: Path
    truth: Truth | None
    found: Sequence[Agreement]
    lonely: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **dict(zip("AB", map(str, self.results), strict=True)),
            "mean_iou": float(np.mean([found.mean for found in self.found])),
            "expressions": {found.pair.name: self.figures(found) for found in self.found},
            "only_in_one": list(self.lonely),
        }

    def figures(self, found: Agreement) -> dict[str, Any]:
        """One expression's."""
        worst = int(found.iou.argmin())
        scores = dict(zip(("J_A", "J_B"), found.scores, strict=True)) if found.scores else {}
        lowest = {"worst_frame": found.pair.frames[worst], "worst_iou": float(found.iou[worst])}
        return {"sentence": self.sentence(found), "iou": found.mean, **lowest, **scores}

    def sentence(self, found: Agreement) -> str:
        """From the truth's list, or from the scores that lie beside results of this project; else ""."""
        key = tuple(found.pair.name.split("/"))
        if self.truth and key in self.truth.expressions:
            return self.truth.expressions[key].text
        records = [root.with_name(f"{root.name}_scores") / f"{found.pair.name}.json" for root in self.results]
        return next(filter(None, map(_recorded_sentence, records)), "")

    def picture(self, found: Agreement) -> np.ndarray:
        """A row a frame: the frame, both results, and the truth where it is known."""
        cells = [cell for index in found.shown(ROWS) for cell in self.row(found, index)]
        columns = 4 if found.pair.target else 3
        return contact_sheet(cells, columns, columns * CELL)

    def row(self, found: Agreement, index: int) -> list[np.ndarray]:
        """The cells of one frame."""
        pair, frame = found.pair, found.pair.frames[index]
        labels = [read_labels(root, pair, frame) for root in self.results]
        image = frame_or_blank(self.frames / pair.video / f"{frame}.jpg", labels[0].shape)
        notes = ["" if np.isnan(j) else f"J {j:.2f}" for j in found.truth[:, index]]
        cells = [cell(image, labels[0] * 0, Caption(frame, PALE, f"IoU {found.iou[index]:.2f}"))]
        for name, shown, note in zip("AB", labels, notes, strict=True):
            cells.append(cell(image, shown, Caption(name, COLORS[name], note)))
        if pair.target:
            true = pair.target.mask(frame)
            missing = true is None
            shown = labels[0] * 0 if missing else true.astype(np.uint8)
            cells.append(cell(image, shown, Caption("truth", COLORS["truth"], "not annotated" if missing else "")))
        return cells

    def page(self, pictures: Sequence[str]) -> str:
        """The index; `pictures` are those of the first expressions, as URIs."""
        rows = [[found.pair.name, *self.figures(found).values()] for found in self.found]
        columns = ["expression", "sentence", "IoU of A and B", "worst frame", "its IoU"]
        columns += ["J of A", "J of B"] * any(found.scores is not None for found in self.found)
        facts = [f"{name}: {root}" for name, root in zip("AB", self.results, strict=True)]
        facts += [f"only in one of them: {first_few(self.lonely)}"] * bool(self.lonely)
        title = f"{len(rows)} expressions, mean IoU {self.as_dict()['mean_iou']:.4f}"
        parts = [f"<h1>{title}</h1>", *(f"<p>{escape(fact)}</p>" for fact in facts)]
        parts.append(titled(Table("How far A and B agree", columns, rows)))
        parts.append(f"<h2>The {len(pictures)} that differ most</h2>")
        for found, picture in zip(self.found[: len(pictures)], pictures, strict=True):
            head = f"{found.pair.name} “{self.sentence(found)}”: IoU {found.mean:.3f}"
            parts.append(f'<section><h3>{escape(head)}</h3><img class="wide" src="{picture}" alt=""></section>')
        return document(title, parts)


def cell(image: np.ndarray, labels: np.ndarray, caption: Caption) -> np.ndarray:
    """A frame with its objects, small: the first in the caption's colour."""
    ids = [i for i in np.unique(labels).tolist() if i]
    colors = [caption.color, *distinct_colors(max(ids, default=0))[1:]]
    picture = overlay(image, [labels == i for i in ids], [colors[i - 1] for i in ids])
    height = round(image.shape[0] * CELL / image.shape[1])
    return captioned(cv2.resize(picture, (CELL, height), interpolation=cv2.INTER_AREA), [caption])


def _recorded_sentence(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["expression"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # a comparison is no reason to fail for want of a sentence
