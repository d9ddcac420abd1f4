"""Pack a trained network into a folder that runs out of the box, such as `demo.py --resume pretrained_weights/NAME`.

    python tools/pack_model.py --resume runs/mini/checkpoint.pth --text_encoder runs/text \\
        --output pretrained_weights/tf2_mini --ema --card card.md

The folder is described in util/model_folder.py. The network's make-up and --short_side are those that the checkpoint
records. Any flag of the inference programs may be given too, to set --short_side, --threshold, --key_candidates or
--key_frame_selector, or the make-up where a checkpoint records none. The result is loaded and held against the
checkpoint before it appears.
"""

import argparse
import copy
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from datasets.reference_frame import black_out
from models import network_from
from models.frame_segmenter import FrameSegmenter
from models.tf2 import TF2
from models.tracker import load_tracker
from opts import get_args_parser, parse_settings
from tools.make_untrained import SENTENCES, clip_images
from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint, save_checkpoint
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder, first_few
from util.model_folder import CARD, INFERENCE, WEIGHTS, ModelConfig, is_model_folder
from util.run_record import ARCHITECTURE, recorded_model
from util.settings import Settings

MOST_BYTES = 40_000_000
# What half precision may change, as a share of a mask's pixels.
MOST_CHANGED = 0.01
LEAST_RED = 200  # of the ball alone
TEXT_ENCODER_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True)
class Trained:
    """A checkpoint's network, float32 on the CPU, and the settings that it is used with."""

    network: TF2
    settings: Settings

    @property
    def config(self) -> ModelConfig:
        make_up, inference = self.settings.model, self.settings.inference
        return ModelConfig(
            model={name: getattr(make_up, name) for name in sorted(ARCHITECTURE | {"num_classes"})},
            inference={name: getattr(inference, name) for name in INFERENCE},
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    args, rest = _parser().parse_known_args(arguments)
    if args.output.exists() and not is_model_folder(args.output):
        raise InputError(f"{args.output} is there and is no model folder; choose another --output")
    trained = read_trained(args, rest)
    with atomic_folder(args.output) as folder:
        write(trained, args, folder)
        print(sizes(folder, None if args.force else MOST_BYTES))
        print(compare(trained, folder, None if args.force else MOST_CHANGED))
    print(f"{args.output}: give it as --resume")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--resume", type=Path, required=True, metavar="FILE", help="checkpoint of training")
    add("--text_encoder", type=Path, required=True, metavar="DIR", help="folder with RoBERTa's config and tokenizer")
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write, such as pretrained_weights/NAME")
    add("--ema", action="store_true", help="take the averaged weights, that main.py --ema keeps")
    add("--card", type=Path, metavar="FILE", help="becomes MODEL_CARD.md; without it that states the make-up alone")
    add("--force", action="store_true", help=f"also over {MOST_BYTES // 10**6} MB, or where the masks change")
    return parser


def read_trained(args: argparse.Namespace, flags: Sequence[str]) -> Trained:
    """The checkpoint's network and settings; `flags` are those of the inference programs.

    Raises InputError where it cannot be read or is not whole, or has no average that was asked for.
    """
    checkpoint = read_checkpoint(args.resume)
    if args.ema:
        checkpoint["model"] = _average(checkpoint, args.resume)
    if not args.text_encoder.is_dir():
        raise InputError(f"{args.text_encoder}: no such folder; --text_encoder is the one that training was given")
    settings = _settings(checkpoint, args, flags)
    network = network_from(settings.model)
    print(load_weights(network, checkpoint, source=str(args.resume)))
    return Trained(network.eval(), settings)


def _average(checkpoint: dict[str, Any], source: Path) -> dict[str, Tensor]:
    """The weights that main.py --ema keeps, as torch's AveragedModel names them."""
    if not isinstance(checkpoint.get("ema"), dict):
        raise InputError(f"{source} holds no averaged weights: it was trained without --ema; leave --ema out")
    return {name.removeprefix("module."): value for name, value in checkpoint["ema"].items() if name != "n_averaged"}


def _settings(checkpoint: dict[str, Any], args: argparse.Namespace, flags: Sequence[str]) -> Settings:
    parser, record = get_args_parser(), checkpoint.get("args")
    if isinstance(record, dict) and "short_side" in record:
        parser.set_defaults(short_side=record["short_side"])
    always = ("--resume", str(args.resume), "--text_encoder", str(args.text_encoder), "--device", "cpu")
    settings = parse_settings([*flags, *always], parser)
    return replace(settings, model=recorded_model(checkpoint, settings.model))


def write(trained: Trained, args: argparse.Namespace, folder: Path) -> None:
    """All files of the model folder. Raises InputError where a weight has no half precision."""
    config = trained.config
    config.write(folder)
    half = copy.deepcopy(trained.network).half().state_dict()  # the whole network, so that tied weights stay tied
    broken = [name for name, value in half.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise InputError(f"{args.resume}: beyond half precision or not finite: {first_few(broken)}; train it again")
    save_checkpoint(folder / WEIGHTS, {"model": half})
    (folder / WEIGHTS).chmod(0o644)  # the library makes it its owner's alone
    (folder / config.text_encoder).mkdir()
    for name in TEXT_ENCODER_FILES:
        if (args.text_encoder / name).is_file():
            shutil.copyfile(args.text_encoder / name, folder / config.text_encoder / name)
    card = _given_card(args.card) if args.card else plain_card(trained, args.output.name)
    (folder / CARD).write_text(card, encoding="utf-8")


def _given_card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: --card cannot be read as text ({error})") from error


def plain_card(trained: Trained, name: str) -> str:
    """What can be said without the one who trained it."""
    model = trained.settings.model
    parameters = sum(parameter.numel() for parameter in trained.network.parameters())
    return (
        f"# {name}\n\n"
        f"- {'TF²' if model.tracking else 'ReferFormer'} with the backbone {model.backbone}, width {model.hidden_dim}, "
        f"{parameters / 1e6:.1f} million parameters, the text encoder's among them\n"
        '- use: `python demo.py --video clip.mp4 --text "the dog on the left" --resume THIS_FOLDER`\n\n'
        "Not told here: data, scores, limits, licence.\n"
    )


def sizes(folder: Path, most: int | None) -> str:
    """The files and their sizes, a line each. Raises InputError where together they have more than `most` bytes."""
    files = {path.relative_to(folder): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    total = sum(files.values())
    if most is not None and total > most:
        raise InputError(
            f"the folder would have {total / 1e6:.1f} MB, more than the {most / 1e6:.0f} that a repository "
            "should carry; --force packs it all the same"
        )
    return "\n".join(f"{size / 1e6:9.3f} MB  {name}" for name, size in [*files.items(), ("in all", total)])


def compare(trained: Trained, folder: Path, most: float | None) -> str:
    """Segment with the checkpoint and with the folder as it will be used, with and without a reference.

    Raises InputError where more than the share `most` of a mask's pixels differ.
    """
    packed = load_tracker(parse_settings(["--resume", str(folder), "--device", "cpu"])).segmenter
    ours, theirs = (_probabilities(one) for one in (FrameSegmenter(trained.network, packed.short_side), packed))
    threshold = trained.settings.inference.threshold
    changed = float(((ours > threshold) != (theirs > threshold)).float().mean((1, 2)).max())
    found = f"{changed:.2%} of a mask's pixels, {float((ours - theirs).abs().max()):.4f} of a probability"
    if most is not None and changed > most:
        raise InputError(f"half precision changes {found}; --force packs it all the same")
    return f"half precision changes at most {found}"


def _probabilities(segmenter: FrameSegmenter) -> Tensor:
    """[2, H, W]: of a red ball in one frame, and in the next with the ball of the first as reference."""
    first, second = clip_images(2)
    text = segmenter.encode_text(SENTENCES[0])
    reference = black_out(first, first[..., 0] > LEAST_RED)
    return torch.stack(
        [segmenter.segment(first, text).probability, segmenter.segment(second, text, reference).probability]
    )


if __name__ == "__main__":
    exit_on_input_error(main)
