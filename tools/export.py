"""Export one frame of tracking to a file that runs without this project: `--format torch` (.pt2) or `onnx` (.onnx).

    python tools/export.py --resume pretrained_weights/tf2_mini --format onnx --output tf2_mini.onnx

What goes in and what comes out is said in docs/export.md. The file is loaded again and held against the network before
it gets its name; where the two differ, there is no file and the exit code is 1. Flags of the inference programs may be
given too, such as --backbone where a checkpoint does not record its make-up; with --no_tracking the frame is looked at
alone.
"""

import argparse
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from datasets.preprocessing import inference_frame, resized_size
from datasets.reference_frame import black_out
from models.frame_step import FrameStep
from models.ops.functions.back_ends import plain_alone
from models.recompute import everything_kept
from models.tf2 import TF2
from models.tracker import load_network
from opts import DATA_FLAGS, get_args_parser, parse_flags, settings_from
from tools.make_untrained import clip_images
from util.errors import InputError, exit_on_input_error
from util.files import atomic_write
from util.structures import Tokens

BAR = 1e-3  # the largest difference of a probability or score
SUFFIX = {"torch": ".pt2", "onnx": ".onnx"}
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OUTPUTS = ("mask", "score")
IDLE = (*DATA_FLAGS, "output_dir")  # of the inference programs' flags
SMALLEST = 32  # pixels of a side

Inputs = dict[str, Tensor]
Run = Callable[[Inputs], Sequence[Tensor]]


class DiffersError(Exception):
    """The exported file does not compute what the network does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0 exported, 1 the file would differ from the network."""
    args = parse_flags(_parser(), arguments)
    settings = settings_from(args)
    size = args.size or resized_size((9, 16), settings.inference.short_side)
    _check(args, size)
    network = load_network(settings, settings.run.resume, recorded=True)
    examples = make_examples(network, size)
    step = FrameStep(network)
    try:
        with atomic_write(args.output) as temporary:
            export(step, examples[0], args.format, temporary)
            print(compare(step, examples, load(args.format, temporary)))
    except DiffersError as error:
        print(f"error: {args.output} is not written: {error}", file=sys.stderr)
        return 1
    print(f"{args.output}: frames of {size[1]}×{size[0]} pixels, any number of words")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = get_args_parser(__doc__, training=False)
    parser.leave_out(*IDLE)
    add = parser.add_argument_group("export").add_argument
    add(
        "--format", required=True, choices=list(SUFFIX), help="torch: a program of torch.export; onnx: for ONNX Runtime"
    )
    add("--output", required=True, type=Path, help="file to write, .pt2 or .onnx")
    add(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of the frames as the network sees them; default: --short_side, 16:9",
    )
    return parser


def _check(args: argparse.Namespace, size: Sequence[int]) -> None:
    """Raises InputError for what cannot work, before anything is loaded."""
    if not args.resume:
        raise InputError("no checkpoint: give --resume FILE, or a model folder")
    if args.output.suffix != SUFFIX[args.format]:
        raise InputError(
            f"--output {args.output}: for --format {args.format} the name must end in {SUFFIX[args.format]}"
        )
    if min(size) < SMALLEST:
        raise InputError(f"--size {size[0]} {size[1]}: a side has at least {SMALLEST} pixels")
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if args.format == "onnx" and missing:
        raise InputError(f"--format onnx needs {', '.join(missing)}: pip install {' '.join(ONNX_PACKAGES)}")


@torch.no_grad()
def make_examples(network: TF2, size: Sequence[int]) -> list[Inputs]:
    """Inputs of FrameStep of a sentence with padding and of one without; frames of `size` (H, W)."""
    before, after = clip_images(2, tuple(size))
    red = black_out(before, before[..., 0] > before[..., 2])
    frames = {"frame": inference_frame(after, min(size))[None], "reference": inference_frame(red, min(size))[None]}
    if not network.tracking:
        del frames["reference"]
    short, long = [0, 4, 2], [0, *range(3, 13), 2]
    padded = network.eval().encode_text(Tokens.padded([long, short])).take([1])
    texts = (padded, network.encode_text(Tokens.padded([short])))
    return [frames | {"words": text.words, "padding": text.padding, "sentence": text.sentence} for text in texts]


def export(step: FrameStep, example: Inputs, kind: str, path: Path) -> None:
    """Write the step as a file. Raises InputError where the format cannot take this network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporters' own insides
        try:
            program = trace(step, example)
            if kind == "torch":
                torch.export.save(program, path)
            else:
                _write_onnx(program, path)
        except (RuntimeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"--format {kind} cannot take this network: {reason}; docs/export.md says more") from error


def trace(step: FrameStep, example: Inputs) -> ExportedProgram:
    """The step as a graph of PyTorch's own operators; the number of words is free, the frame's size is not."""
    free = {"words": {1: Dim.DYNAMIC}, "padding": {1: Dim.DYNAMIC}}
    # With gradients, nothing in the network asks for a tensor's values, which no graph could follow.
    with torch.enable_grad(), everything_kept(), plain_alone():
        return torch.export.export(step, (), example, dynamic_shapes={name: free.get(name) for name in example})


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    torch.onnx.export(program, f=path, dynamo=True, output_names=OUTPUTS, external_data=False, verbose=False)


def load(kind: str, path: Path) -> Run:
    """What runs an exported file."""
    if kind == "torch":
        module = torch.export.load(path).module()
        return lambda inputs: module(**inputs)
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda inputs: [
        torch.from_numpy(output)
        for output in session.run(OUTPUTS, {name: tensor.numpy() for name, tensor in inputs.items()})
    ]


@torch.no_grad()
def compare(step: FrameStep, examples: Sequence[Inputs], run: Run) -> str:
    """The worst differences, in words. Raises DiffersError where one is above BAR."""
    pairs = [zip(run(inputs), step(**inputs), strict=True) for inputs in examples]
    worst = [max(float((ours - theirs).abs().max()) for ours, theirs in both) for both in zip(*pairs, strict=True)]
    found = ", ".join(f"{name} {error:.1e}" for name, error in zip(OUTPUTS, worst, strict=True))
    if not all(error <= BAR for error in worst):  # a NaN differs too
        raise DiffersError(f"it differs from the network by {found}; allowed is {BAR:g}")
    return f"largest differences from the network: {found}"


if __name__ == "__main__":
    exit_on_input_error(main)
