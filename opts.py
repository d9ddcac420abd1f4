"""The flags of the release, with their names and defaults, parsed into typed settings (spec §7; util/settings.py).

Nothing below the entry scripts sees argparse.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets.transforms import VIDEO_SHORT_SIDES
from util.errors import InputError
from util.flag_help import NO_TEXT, FlagParser
from util.model_folder import folder_flags, is_model_folder
from util.names import is_unicode
from util.settings import (
    DataSettings,
    InferenceSettings,
    LossSettings,
    ModelSettings,
    OptimiserSettings,
    RunSettings,
    Settings,
)

CLASSES = {"ytvos": 65, "davis": 78, "a2d": 1, "jhmdb": 1}  # without --binary; every other set has COCO's 91
COCO_CLASSES = 91
TRAINING_GROUPS = ("training: clips", "training: loss and matching", "training: optimiser", "training: loop")
KEY_FLAGS = ("key_frames", "key_masks", "key_model", "key_frame_selector")  # not how many: comparisons give that to all
# What a program that reads no data set does not need; taken all the same.
DATA_FLAGS = (
    *(f"{name}_path" for name in ("coco", "ytvos", "davis", "a2d", "jhmdb")),
    *("num_frames", "num_workers", "split", "eval", "ngpu", "overwrite"),
)
AT_LEAST = {
    1: (
        *("enc_layers", "dec_layers", "dim_feedforward", "hidden_dim", "nheads", "num_queries", "dec_n_points"),
        *("enc_n_points", "mask_dim", "controller_layers", "dynamic_mask_channels", "num_frames", "batch_size"),
        *("accumulate", "log_every", "short_side", "clip_frames", "ngpu"),
    ),
    0: (
        *("key_candidates", "feature_memory", "num_workers", "seed", "start_epoch", "epochs", "epoch_clips"),
        *("max_steps", "checkpoint_steps", "warmup_steps", "max_bad_samples"),
    ),
}
FROM_0_TO_1 = ("crop_share", "reference_dropout", "threshold", "dropout", "pixel_dropout")
KEY_FRAME_SELECTORS = ("argmax", "consensus", "references", "restart")


def get_args_parser(about: str | None = None, *, training: bool = True) -> FlagParser:
    """The parser of all flags; entry scripts may add their own, which `--help` shows first.

    about: the program's docstring, whose first line `--help` shows.
    training: whether the program trains; else `--help` leaves out what only training reads. All flags parse anyway.
    """
    parser = FlagParser(
        description=(about or "TF²: tracking-forced referring video object segmentation").partition("\n")[0],
        epilog="Flags may also come from a file: @scripts/recipes/ytvos.txt; later ones win. Exit codes: 0 done, "
        "1 a fault, 2 something given is wrong, 130 and 143 interrupted.",
        unused=() if training else TRAINING_GROUPS,
        allow_abbrev=False,
        fromfile_prefix_chars="@",
    )
    parser.convert_arg_line_to_args = flags_in_line
    for add_group in (_run_flags, _data_flags, _inference_flags, _model_flags):
        add_group(parser)
    for add_group in (_clip_flags, _loss_flags, _optimiser_flags, _loop_flags, _inert_flags):
        add_group(parser)
    parser.shared_so_far()
    return parser


def flags_in_line(line: str) -> list[str]:
    """The flags in a line of an @file: split as in a shell, but backslashes stay; `#` begins a comment."""
    if not is_unicode(line):  # Python 3.12 and later put half characters where bytes are no text
        raise InputError(NO_TEXT)
    words = shlex.shlex(line, posix=True)
    words.whitespace_split, words.escape = True, ""
    try:
        return list(words)
    except ValueError as error:
        raise InputError(f"flags file: {line.strip()!r}: {error}") from error


def parse_settings(argv: Sequence[str] | None = None, parser: argparse.ArgumentParser | None = None) -> Settings:
    """Settings of a command line (the process's own by default); says once which flags do nothing."""
    return settings_from(parse_flags(parser or get_args_parser(), argv))


def parse_flags(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """A command line's flags (the process's own by default).

    Where --resume or --pretrained_weights is a model folder, its config's flags are as if given before all others.
    Raises InputError for flags of key frames beside --no_tracking.
    """
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    _refuse_idle_key_flags(args, parser)
    folder = next(filter(is_model_folder, (args.resume, args.pretrained_weights)), None)
    if folder is None:
        return args
    return parser.parse_args([*folder_flags(folder, [field.name for field in fields(ModelSettings)]), *argv])


def _refuse_idle_key_flags(given: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Raises InputError for flags of key frames beside --no_tracking; those of a model folder are not `given`."""
    idle = [f"--{name}" for name in KEY_FLAGS if getattr(given, name) != parser.get_default(name)]
    if given.no_tracking and idle:
        raise InputError(f"--no_tracking has no key frames: leave it out, or {', '.join(idle)}")


def settings_from(args: argparse.Namespace) -> Settings:
    """Parsed flags → settings. Raises InputError for combinations that cannot work."""
    _report_inert(args)
    if args.two_stage:
        raise InputError("--two_stage is not part of TF²: leave it out")
    _refuse_out_of_range(args)
    if args.hidden_dim % args.nheads or args.hidden_dim % 32:
        raise InputError(f"--hidden_dim {args.hidden_dim} must be a multiple of 32 and of --nheads {args.nheads}")
    if args.mid_reference and not args.with_box_refine:
        raise InputError("--mid_reference refines boxes: it needs --with_box_refine")
    if args.cache_text and not args.freeze_text_encoder:
        raise InputError("--cache_text needs --freeze_text_encoder: what trains changes with every step")
    if args.num_feature_levels < 3:
        raise InputError("--num_feature_levels must be 3 or more: the pixel decoder reads strides 8, 16 and 32")
    checkpoint = bool(args.resume or args.pretrained_weights)  # it brings all weights: nothing else is fetched
    values = vars(args) | {
        "backbone_pretrained": "random" if checkpoint else args.backbone_pretrained,
        "num_classes": 1 if args.binary else CLASSES.get(args.dataset_file, COCO_CLASSES),
        "rel_coord": not args.no_rel_coord,
        "tracking": not args.no_tracking,
        "aux_loss": not args.no_aux_loss,
        "text_pretrained": not checkpoint and args.text_encoder_pretrained != "random",
    }
    return Settings(
        model=_pick(ModelSettings, values),
        loss=_pick(LossSettings, values),
        optimiser=_pick(OptimiserSettings, values),
        data=_pick(DataSettings, values),
        inference=_pick(InferenceSettings, values),
        run=_pick(RunSettings, values),
    )


def _refuse_out_of_range(args: argparse.Namespace) -> None:
    for least, names in AT_LEAST.items():
        for name in names:
            value = getattr(args, name)
            if value is not None and value < least:
                raise InputError(f"--{name} {value}: give {least} or more")
    for name in FROM_0_TO_1:
        if not 0 <= getattr(args, name) <= 1:
            raise InputError(f"--{name} {getattr(args, name):g}: give a number from 0 to 1")


def _pick(settings: type, values: dict[str, Any]) -> Any:
    def value(name: str) -> Any:
        return tuple(values[name]) if isinstance(values[name], list) else values[name]

    return settings(**{field.name: value(field.name) for field in fields(settings)})


def _model_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    add = group.add_argument
    add("--backbone", default="resnet50", help="resnet50|101, swin_{t,s,b,l}_p4w7, video_swin_{t,s,b}_p4w7, timm:NAME")
    add("--backbone_pretrained", help="file with the backbone's weights; `random`: none")
    add("--dilation", action="store_true", help="ResNet: dilate the last stage instead of striding")
    add("--use_checkpoint", action="store_true", help="gradient checkpointing in the backbone")
    add("--gradient_checkpointing", action="store_true", help="... and in encoder, decoder and pixel decoder")
    add("--text_encoder", default="roberta-base", help="hub name or local folder of a RoBERTa")
    add("--text_encoder_pretrained", choices=["random"], help="random: take its config and tokenizer alone")
    add("--freeze_text_encoder", action="store_true", help="do not train the text encoder")
    add(
        "--cache_text",
        action="store_true",
        help="with a frozen text encoder: encode each training sentence once, without the dropout that it else applies",
    )
    add("--with_box_refine", action="store_true", help="refine reference points layer by layer (all published runs)")
    add("--mid_reference", action="store_true", help="and once more between the two memories, as in the paper's figure")
    add("--num_feature_levels", default=4, type=int, help="levels of the deformable attention")
    add("--enc_layers", default=4, type=int, help="encoder layers")
    add("--dec_layers", default=4, type=int, help="decoder layers")
    add("--dim_feedforward", default=2048, type=int, help="width of the FFNs")
    add("--hidden_dim", default=256, type=int, help="width of the network")
    add("--dropout", default=0.1, type=float, help="dropout in encoder and decoder")
    add("--pixel_dropout", default=0.1, type=float, help="dropout in the pixel decoder")
    add("--nheads", default=8, type=int, help="attention heads")
    add("--num_queries", default=5, type=int, help="queries a frame")
    add("--dec_n_points", default=4, type=int, help="points of the decoder's deformable attention")
    add("--enc_n_points", default=4, type=int, help="points of the encoder's deformable attention")
    add("--mask_dim", default=256, type=int, help="channels of the mask features")
    add("--controller_layers", default=3, type=int, help="dynamic convolutions of the mask head")
    add("--dynamic_mask_channels", default=8, type=int, help="channels between the dynamic convolutions")
    add("--no_rel_coord", action="store_true", help="no relative coordinates in the mask head")
    add("--no_tracking", action="store_true", help="leave the reference out: the network is ReferFormer")


def _loss_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(TRAINING_GROUPS[1])
    add = group.add_argument
    add("--no_aux_loss", action="store_true", help="loss at the last decoder layer alone")
    for name, default in (("class", 2), ("bbox", 5), ("giou", 2), ("mask", 2), ("dice", 5)):
        add(f"--set_cost_{name}", default=default, type=float, help=f"weight of the {name} term in the matching")
    for name, default in (("mask", 2), ("dice", 5), ("cls", 2), ("bbox", 5), ("giou", 2)):
        add(f"--{name}_loss_coef", default=default, type=float, help=f"weight of the {name} loss")
    add("--focal_alpha", default=0.25, type=float, help="α of the focal losses")
    add(
        "--class_target",
        default="one",
        choices=["one", "iou"],
        help="score of the matched query: 1, or the IoU of its mask, so that scores tell good frames from bad ones",
    )


def _optimiser_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(TRAINING_GROUPS[2])
    add = group.add_argument
    add("--lr", default=1e-4, type=float, help="learning rate")
    add("--lr_backbone", default=5e-5, type=float, help="learning rate of the backbone; 0 freezes it")
    add("--lr_backbone_names", default=["backbone.0"], nargs="+", help="what counts as backbone")
    add("--lr_text_encoder", default=1e-5, type=float, help="learning rate of the text encoder")
    add("--lr_text_encoder_names", default=["text_encoder"], nargs="+", help="what counts as text encoder")
    add("--lr_linear_proj_names", default=["reference_points", "sampling_offsets"], nargs="+", help="own multiplier")
    add("--lr_linear_proj_mult", default=1.0, type=float, help="multiplier of those")
    add("--batch_size", default=1, type=int, help="clips a process and step")
    add("--weight_decay", default=5e-4, type=float, help="AdamW's weight decay")
    add("--epochs", default=10, type=int, help="passes over the data")
    add("--lr_drop", default=[6, 8], type=int, nargs="+", help="epochs after which the rates drop tenfold")
    add("--lr_schedule", default="step", choices=["step", "cosine"], help="step: --lr_drop; cosine: to 0 at the end")
    add("--warmup_steps", default=0, type=int, help="steps over which the rates rise from 0")
    add("--clip_max_norm", default=0.1, type=float, help="gradient norm limit; 0: none")
    add("--accumulate", default=1, type=int, help="batches whose gradients make one step")
    add("--amp", default="none", choices=["none", "bf16", "fp16"], help="mixed precision")
    add("--ema", default=0.0, type=float, help="decay of an average of the weights, such as 0.999; 0: none")
    add("--reference_dropout", default=0.0, type=float, help="share of batches trained without references")


def _data_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add = group.add_argument
    sets = ["ytvos", "davis", "a2d", "jhmdb", "refcoco", "refcoco+", "refcocog", "all", "joint"]
    add("--dataset_file", default="ytvos", choices=sets, help="data set")
    add("--binary", action="store_true", help="one class: referred or not")
    add("--coco_path", default=Path("data/coco"), type=Path, help="RefCOCO/+/g and COCO's train2014")
    add("--ytvos_path", default=Path("data/ref-youtube-vos"), type=Path, help="Ref-YouTube-VOS")
    add("--davis_path", default=Path("data/ref-davis"), type=Path, help="Ref-DAVIS17 as the converter writes it")
    add("--a2d_path", default=Path("data/a2d_sentences"), type=Path, help="A2D-Sentences")
    add("--jhmdb_path", default=Path("data/jhmdb_sentences"), type=Path, help="JHMDB-Sentences")
    add("--num_frames", default=5, type=int, help="frames a clip")
    add("--caption_case", default="lower", choices=["lower", "released"], help="released: raw text in inference")
    add("--num_workers", default=4, type=int, help="processes that load data")


def _clip_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(TRAINING_GROUPS[0])
    add = group.add_argument
    add("--epoch_clips", default=0, type=int, help="clips of an epoch, drawn anew for each; 0: all")
    add("--max_size", default=640, type=int, help="longest side in training")
    add(
        "--train_short_sides",
        default=VIDEO_SHORT_SIDES,
        type=int,
        nargs="+",
        help="short sides that training on videos draws from; --max_size limits them",
    )
    add(
        "--caption_flip",
        default="word",
        choices=["word", "released"],
        help="left/right under a flip; released: in words",
    )
    add(
        "--reference_augmentation",
        default="joint",
        choices=["joint", "independent"],
        help="independent: clip and reference are drawn apart, as in the release",
    )
    add(
        "--colour_augmentation",
        default="all",
        choices=["all", "light", "none"],
        help="light: without what changes a colour's name, hue and order of channels",
    )
    add("--crop_share", default=0.5, type=float, help="share of training clips that are cropped")
    add(
        "--told_frames",
        action="store_true",
        help='train on clips that start where "told" of the expression says that a picture alone tells it',
    )
    add("--max_bad_samples", default=0, type=int, help="unreadable samples that are replaced before training stops")


def _inference_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("inference")
    add = group.add_argument
    add("--split", default="valid", choices=["train", "valid", "test"], help="which videos")
    add("--short_side", default=360, type=int, help="pixels of the short side that the network sees")
    add("--threshold", default=0.5, type=float, help="mask probability above which a pixel is the object's")
    add("--visualize", action="store_true", help="write pictures: masks, boxes, points, scores")
    add("--key_frames", type=Path, help="JSON: video → expression id → frame name or index")
    add("--key_masks", type=Path, help="folder <video>/<expression id>/<frame>.png with the key frames' masks")
    add("--key_model", type=Path, help="checkpoint of the network that finds the key frame (such as ReferFormer)")
    add("--key_candidates", default=10, type=int, help="frames scored for the key frame, evenly spaced; 0: all")
    how = "how key frames are chosen and used: docs/key_frames.md"
    add("--key_frame_selector", default="argmax", choices=KEY_FRAME_SELECTORS, help=how)
    add("--feature_memory", default=768, type=int, help="MiB of features kept for other sentences and passes")
    add("--precision", default="fp32", choices=["fp32", "bf16"], help="bf16: rounded products (CPUs with AMX, GPUs)")
    add("--compile", action="store_true", help="torch.compile on a GPU: slow to start, for long runs of one frame size")
    add("--clip_frames", type=int, help="frames a clip with --no_tracking; default: the whole video, for DAVIS 36")
    add("--overwrite", action="store_true", help="compute finished expressions again")


def _run_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--output_dir", default=Path("output"), type=Path, help="where everything is written")
    add("--device", default="auto", help="auto, cpu, cuda, mps")
    add("--seed", default=42, type=int, help="random seed; each process adds its rank")
    add("--resume", metavar="FILE", default="", help="checkpoint or model folder to load; training goes on from it")
    add("--eval", action="store_true", help="evaluate, do not train")
    add("--ngpu", type=int, help="processes of inference; default: one a GPU, one without")


def _loop_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(TRAINING_GROUPS[3])
    add = group.add_argument
    add("--pretrained_weights", help="checkpoint that training starts from")
    add("--start_epoch", default=0, type=int, help="first epoch")
    add("--checkpoint_steps", default=500, type=int, help="steps between checkpoints within an epoch; 0: none")
    add("--max_steps", default=0, type=int, help="stop after so many steps; 0: all")
    add("--log_every", default=20, type=int, help="steps between lines")
    add("--recipe_batch", default=0, type=int, help="clips a step that the recipe was made for; others are warned of")


INERT = {
    "pre_norm": "norms are always after",
    "masks": "masks are always on",
    "max_skip": "clip sampling has no such limit",
    "remove_difficult": "no data set marks difficult objects",
    "eos_coef": "the focal loss has no such weight",
    "cache_mode": "frames are read as they are needed",
    "position_embedding": "positions are sine",
    "world_size": "torchrun says how many processes there are",
    "dist_url": "torchrun says where processes meet",
}


def _inert_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("flags of the release that do nothing here either")
    for name in ("pre_norm", "masks", "remove_difficult", "cache_mode"):
        group.add_argument(f"--{name}", action="store_true", help=INERT[name])
    group.add_argument("--two_stage", action="store_true", help="must stay off")
    group.add_argument("--max_skip", default=3, type=int, help=INERT["max_skip"])
    group.add_argument("--eos_coef", default=0.1, type=float, help=INERT["eos_coef"])
    group.add_argument("--world_size", default=1, type=int, help=INERT["world_size"])
    group.add_argument("--dist_url", default="env://", help=INERT["dist_url"])
    group.add_argument("--position_embedding", default="sine", choices=["sine", "learned"], help="sine")


def _report_inert(args: argparse.Namespace) -> None:
    """One line for all flags that were given and change nothing; `--masks`, in every released command, is silent."""
    defaults = {
        "max_skip": 3,
        "eos_coef": 0.1,
        "position_embedding": "sine",
        "world_size": 1,
        "dist_url": "env://",
    }
    given = [n for n in INERT if n != "masks" and getattr(args, n) != defaults.get(n, False)]
    if given:
        reasons = "; ".join(f"--{name}: {INERT[name]}" for name in given)
        print(f"note: no effect: {reasons}", file=sys.stderr)
