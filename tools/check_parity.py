"""Hold this network against numbers of the released ones: `python -m tools.check_parity --golden DIR`.

Runs every case that a folder in the golden format holds: network, losses, gradients, preprocessing, propagation.
Prints case × array × error and exits 1 where a bar is missed or a case cannot run.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

if __package__ is None or __package__ == "":  # run as a file: the project's root is one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.preprocessing import inference_frame
from datasets.reference_frame import black_out
from models.conversation import converse
from models.criterion import Criterion
from models.frame_segmenter import FrameSegmenter
from models.propagation import FrameResult, KeyFrame, Propagator, Question, propagate
from models.tf2 import TF2
from tools.golden import SECOND_NAME, Case, build_filled, read_cases
from util.errors import InputError, exit_on_input_error
from util.files import atomic_write
from util.mask_io import read_image, read_label_map
from util.structures import NetworkOutput, Tokens

ARRAY_BAR, GRADIENT_BAR, PIXEL_BAR, IOU_BAR, SCORE_BAR = 1e-4, 1e-3, 1e-3, 0.99, 1e-3


@dataclass(frozen=True)
class Row:
    """One comparison: an error against its bar; `missed` also where there is nothing to compare."""

    case: str
    array: str
    error: float
    bar: float
    note: str = ""

    @property
    def missed(self) -> bool:
        return not self.error <= self.bar  # a NaN misses too


def relative_error(ours: np.ndarray, golden: np.ndarray) -> float:
    """‖ours − golden‖ / ‖golden‖; infinite where the shapes differ."""
    if ours.shape != golden.shape:
        return float("inf")
    norm = np.linalg.norm(golden)
    return float(np.linalg.norm(ours.astype(np.float64) - golden) / norm) if norm else float(np.abs(ours).max())


def network_rows(folder: Path) -> Iterator[Row]:
    """All cases of cases.json."""
    for entry in read_cases(folder):
        yield from guarded(entry["name"], lambda entry=entry: network_case(folder, Case.read(entry)))


def network_case(folder: Path, case: Case) -> Iterator[Row]:
    """State-dict names, outputs, losses and gradients of one case."""
    model, criterion, keys = build_filled(case, folder)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    yield Row(case.name, "state dict", float(len(set(map(str, shapes.items())) ^ set(map(str, keys.items())))), 0)
    with np.load(folder / f"{case.name}.npz") as arrays:
        golden = dict(arrays)
    with torch.set_grad_enabled(case.grads):
        output = model(case.clips(), case.tokens(), case.reference(), case.valid_indices)
        ours = output_arrays(output) | loss_arrays(output, case, criterion)
    for name, array in golden.items():
        if name not in ours:
            yield Row(case.name, name, float("nan"), ARRAY_BAR, "not computed")
        elif name == "matched_query":
            yield Row(case.name, name, float((to_numpy(ours[name]) != array).sum()), 0)
        else:
            yield Row(case.name, name, relative_error(to_numpy(ours[name]), array), ARRAY_BAR)
    if case.grads:
        ours["loss/total"].backward()
        yield from gradient_rows(folder, case, model)


def output_arrays(output: NetworkOutput) -> dict[str, Tensor]:
    """Predictions by the golden files' names."""
    arrays = {f"pred_{name}": getattr(output.last, name) for name in ("logits", "boxes", "masks")}
    arrays["reference_points"] = output.reference_points
    for number, layer in enumerate(output.layers[:-1]):
        arrays |= {f"aux{number}_{name}": getattr(layer, name) for name in ("logits", "boxes", "masks")}
    return arrays


def loss_arrays(output: NetworkOutput, case: Case, criterion: Criterion) -> dict[str, Tensor]:
    """Losses and the matched query by the golden files' names."""
    losses = criterion(output, case.targets())
    arrays = {f"loss/{name}": value for name, value in losses.items()}
    arrays["loss/total"] = criterion.total(losses)
    arrays["matched_query"] = criterion.match(output.last, case.targets())
    return arrays


def gradient_rows(folder: Path, case: Case, model: TF2) -> Iterator[Row]:
    """Gradient norm of every trainable parameter; a parameter on one side only is a miss."""
    golden = json.loads((folder / f"{case.name}.grad-norms.json").read_text())
    ours = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    twins = {name.removeprefix(SECOND_NAME): name for name in ours if "bbox_embed" in name}
    golden = {twins.get(name.removeprefix(SECOND_NAME), name): norm for name, norm in golden.items()}
    strangers = ours.keys() ^ golden.keys()
    yield Row(case.name, "gradients: names", float(len(strangers)), 0, ", ".join(sorted(strangers)[:3]))
    # A gradient that is zero in exact arithmetic is rounding noise on both sides: it counts against the largest.
    noise = 1e-6 * max(golden.values())
    errors = {name: abs(ours[name] - golden[name]) / max(golden[name], noise) for name in ours.keys() & golden.keys()}
    worst = max(errors, key=errors.get)
    yield Row(case.name, f"gradients: {len(errors)} norms", errors[worst], GRADIENT_BAR, f"worst: {worst}")


def to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def sequence_frames(data: Path | None, sequence: str) -> tuple[list[Path], list[Path]]:
    """Frames and masks of a DAVIS sequence in `data`/ref-davis. Raises InputError where they are not there."""
    if data is None:
        raise InputError("needs the real frames: give --data the folder that holds ref-davis")
    root = data / "ref-davis" / "DAVIS"
    frames = sorted((root / "JPEGImages" / "480p" / sequence).glob("*.jpg"))
    masks = sorted((root / "Annotations_unsupervised" / "480p" / sequence).glob("*.png"))
    if not frames or len(frames) != len(masks):
        raise InputError(f"no frames of {sequence} under {root}: give --data the folder that holds ref-davis")
    return frames, masks


def preprocessing_rows(folder: Path, data: Path | None) -> Iterator[Row]:
    """preprocess-<sequence>.npz: a frame and its reference through the inference preprocessing."""
    for path in sorted(folder.glob("preprocess-*.npz")):
        yield from guarded(path.stem, lambda path=path: preprocessing_case(path, data))


def preprocessing_case(path: Path, data: Path | None) -> Iterator[Row]:
    frames, masks = sequence_frames(data, path.stem.removeprefix("preprocess-"))
    image, mask = read_image(frames[0]), read_label_map(masks[0]) > 0
    with np.load(path) as golden:
        for name, source in (("frame", image), ("reference", black_out(image, mask))):
            ours = inference_frame(source)
            yield Row(path.stem, f"{name} shape", float(list(ours.shape) != golden["shape"].tolist()), 0)
            sampled = ours[:, ::8, ::8].numpy()
            error = np.abs(sampled - golden[name]).max() if sampled.shape == golden[name].shape else np.inf
            yield Row(path.stem, f"{name} pixels", float(error), PIXEL_BAR)


def propagation_rows(folder: Path, data: Path | None) -> Iterator[Row]:
    """propagation-<sequence>.json: the loop over real frames from a ground-truth key mask."""
    for path in sorted(folder.glob("propagation-*.json")):
        yield from guarded(path.stem, lambda path=path: propagation_case(path, data))


def propagation_case(path: Path, data: Path | None) -> Iterator[Row]:
    spec = json.loads(path.read_text())
    frames, masks = sequence_frames(data, spec["sequence"])
    names = [frame.stem for frame in frames]
    chosen = [names.index(frame) for frame in spec["frames"]]
    video = [read_image(frames[i]) for i in chosen]
    key = spec["frames"].index(spec["key_frame"])
    key_mask = torch.from_numpy(read_label_map(masks[chosen[key]]) > 0)
    case = Case(path.stem, spec["backbone"], 1, [], [spec["input_ids"]], text=spec["text"])
    model, _, _ = build_filled(case, path.parent)
    segmenter = FrameSegmenter(model)
    with torch.inference_mode():
        text = model.encode_text(Tokens.padded([spec["input_ids"]]))
    with np.load(path.with_suffix(".npz")) as arrays:
        golden_masks = np.unpackbits(arrays["masks"], axis=-1)[..., : arrays["shape"][-1]].astype(bool)
        golden_scores = arrays["scores"]

    def answer(_: Sequence[int], questions: Sequence[Question]) -> list[FrameResult]:
        return [segmenter.segment(video[q.index], text, q.reference) for q in questions]

    track = propagate(Propagator(video, spec["threshold"]), KeyFrame(key, key_mask))
    for _, frame in converse([track], answer):
        index, result = frame.index, frame.result
        mask = to_numpy(result.probability > spec["threshold"])
        yield Row(path.stem, f"frame {spec['frames'][index]} 1 − IoU", 1 - iou(mask, golden_masks[index]), 1 - IOU_BAR)
        error = np.abs(to_numpy(result.scores) - golden_scores[index]).max()
        yield Row(path.stem, f"frame {spec['frames'][index]} scores", float(error), SCORE_BAR)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def guarded(case: str, run: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """A case that cannot run is a missed bar with its reason; the other cases still run."""
    try:
        yield from run()
    except Exception as error:  # whatever it was, the table must say so
        yield Row(case, "cannot run", float("nan"), 0, f"{type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--golden", type=Path, required=True, help="folder of golden cases")
    parser.add_argument("--data", type=Path, help="folder that holds ref-davis; default: data beside the golden folder")
    parser.add_argument("--json", type=Path, help="write the table there as JSON")
    args = parser.parse_args()
    if not args.golden.is_dir():
        raise InputError(f"{args.golden} is not a folder: give --golden the folder of golden cases")
    beside = args.golden.resolve().parent / "data"
    data = args.data or (beside if beside.is_dir() else None)
    rows = []
    for source in (
        network_rows(args.golden),
        preprocessing_rows(args.golden, data),
        propagation_rows(args.golden, data),
    ):
        for row in source:
            rows.append(row)
            state = "MISS" if row.missed else "ok"
            print(f"{row.case:36} {row.array:28} {row.error:10.2e} ≤ {row.bar:.0e}  {state}  {row.note}", flush=True)
    missed = sum(row.missed for row in rows)
    print(f"{len(rows)} comparisons of {len({row.case for row in rows})} cases, {missed} missed")
    if args.json:
        with atomic_write(args.json) as temporary:
            temporary.write_text(json.dumps([asdict(row) | {"missed": row.missed} for row in rows], indent=1))
    if not rows:
        raise InputError(f"{args.golden} holds no case: neither cases.json nor preprocess-*.npz nor propagation-*.json")
    return int(missed > 0)


if __name__ == "__main__":
    exit_on_input_error(main)
