"""The release's flags: names, defaults, and commands as they were published."""

import pytest

from opts import get_args_parser, parse_settings
from util.errors import InputError

# spec §7; --device and --ngpu are this project's own defaults.
RELEASED = dict(
    pair.split("=", 1)
    for pair in [
        "lr=1e-4",
        "lr_backbone=5e-5",
        "lr_text_encoder=1e-5",
        "lr_linear_proj_mult=1.0",
        "batch_size=1",
        "weight_decay=5e-4",
        "epochs=10",
        "clip_max_norm=0.1",
        "backbone=resnet50",
        "position_embedding=sine",
        "num_feature_levels=4",
        "enc_layers=4",
        "dec_layers=4",
        "dim_feedforward=2048",
        "hidden_dim=256",
        "dropout=0.1",
        "nheads=8",
        "num_frames=5",
        "num_queries=5",
        "dec_n_points=4",
        "enc_n_points=4",
        "mask_dim=256",
        "controller_layers=3",
        "dynamic_mask_channels=8",
        "set_cost_class=2",
        "set_cost_bbox=5",
        "set_cost_giou=2",
        "set_cost_mask=2",
        "set_cost_dice=5",
        "mask_loss_coef=2",
        "dice_loss_coef=5",
        "cls_loss_coef=2",
        "bbox_loss_coef=5",
        "giou_loss_coef=2",
        "eos_coef=0.1",
        "focal_alpha=0.25",
        "dataset_file=ytvos",
        "coco_path=data/coco",
        "ytvos_path=data/ref-youtube-vos",
        "davis_path=data/ref-davis",
        "a2d_path=data/a2d_sentences",
        "jhmdb_path=data/jhmdb_sentences",
        "max_skip=3",
        "max_size=640",
        "output_dir=output",
        "seed=42",
        "start_epoch=0",
        "num_workers=4",
        "threshold=0.5",
        "split=valid",
        "world_size=1",
        "dist_url=env://",
    ]
)
COMMANDS = [
    "--with_box_refine --binary --freeze_text_encoder --epochs 6 --lr_drop 3 5 --output_dir x --pretrained_weights y "
    "--backbone video_swin_t_p4w7 --backbone_pretrained z --dataset_file ytvos",
    "--dataset_file all --binary --with_box_refine --batch_size 2 --num_frames 1 --epochs 12 --lr_drop 8 10 --masks",
    "--with_box_refine --binary --freeze_text_encoder --resume x --backbone resnet50 --ngpu 8 --visualize --split test",
    "--dataset_file a2d --with_box_refine --dropout 0 --weight_decay 1e-4 --num_frames 6 --eval --no_aux_loss",
]


@pytest.mark.parametrize(("name", "default"), RELEASED.items())
def test_released_defaults(name, default):
    value = get_args_parser().get_default(name)
    assert (float(value) == float(default)) if isinstance(value, int | float) else (str(value) == default)


def test_released_list_defaults():
    parser = get_args_parser()
    assert parser.get_default("lr_drop") == [6, 8]
    assert parser.get_default("lr_backbone_names") == ["backbone.0"]
    assert parser.get_default("lr_text_encoder_names") == ["text_encoder"]
    assert parser.get_default("lr_linear_proj_names") == ["reference_points", "sampling_offsets"]


@pytest.mark.parametrize("command", COMMANDS)
def test_released_commands_parse_quietly(command, capsys):
    parse_settings(command.split())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("flags", "classes"), [("--binary", 1), ("", 65), ("--dataset_file davis", 78)])
def test_classes(flags, classes):
    assert parse_settings(flags.split()).model.num_classes == classes


def test_flags_without_effect_say_so_once(capsys):
    parse_settings(["--pre_norm", "--max_skip", "5", "--position_embedding", "learned", "--world_size", "8"])
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert all(name in lines[0] for name in ("--pre_norm", "--max_skip", "--position_embedding", "--world_size"))


@pytest.mark.parametrize(
    "flags",
    [
        *("--two_stage", "--hidden_dim 100", "--num_feature_levels 2", "--short_side 0"),
        *("--key_candidates -3", "--clip_frames 0", "--seed -1", "--threshold 2", "--threshold nan", "--dropout -1"),
        *("--nheads 0", "--num_queries 0", "--enc_layers 0", "--num_frames 0", "--hidden_dim -32"),
        *("--crop_share 2", "--reference_dropout -0.1"),
    ],
)
def test_impossible_combinations_are_errors(flags):
    with pytest.raises(InputError):
        parse_settings(flags.split())


@pytest.mark.parametrize("flags", ["--key_frames x", "--key_masks x", "--key_model x", "--key_frame_selector restart"])
def test_key_frames_need_tracking(flags):
    parse_settings(flags.split())
    with pytest.raises(InputError, match=f"--no_tracking has no key frames.*{flags.split()[0]}$"):
        parse_settings([*flags.split(), "--no_tracking"])


def test_a_checkpoint_brings_all_weights():
    model = parse_settings(["--resume", "x.pth"]).model
    assert model.backbone_pretrained == "random"
    assert not model.text_pretrained


def test_precision():
    assert parse_settings([]).inference.precision == "fp32"
    assert parse_settings(["--precision", "bf16"]).inference.precision == "bf16"


# ---- flags from a file


def flags_file(tmp_path, text):
    path = tmp_path / "flags.txt"
    path.write_text(text)
    return f"@{path}"


def test_a_flags_file_has_comments_empty_lines_and_several_flags_a_line(tmp_path):
    text = """# a comment, the user's own

--epochs=3 --lr_drop 1 2  # the end of a line
   --ytvos_path "my data#1"
--davis_path=C:\\data\\davis
"""
    settings = parse_settings([flags_file(tmp_path, text), "--epochs", "4"])
    assert (settings.optimiser.epochs, settings.optimiser.lr_drop) == (4, (1, 2))
    assert str(settings.data.ytvos_path) == "my data#1"
    assert str(settings.data.davis_path) == "C:\\data\\davis"


def test_a_flags_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="@FILE"):
        parse_settings([f"@{tmp_path / 'picture.jpg'}"])


def test_an_open_quote_in_a_flags_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"--ytvos_path \"x.*No closing quotation"):
        parse_settings([flags_file(tmp_path, '--ytvos_path "x\n')])
