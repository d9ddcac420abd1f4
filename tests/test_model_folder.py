"""A model folder as --resume, --pretrained_weights and --key_model: nothing else is needed, and given flags win."""

import json
import shutil
import socket

import pytest
import torch
from safetensors.torch import load_file

from inference_ytvos import main as inference_ytvos
from models import build_model
from models.tracker import load_tracker
from opts import parse_settings
from tools.make_text_encoder import Shape, make_text_encoder
from tools.make_untrained import SENTENCES, clip_images, make_checkpoint
from tools.pack_model import main as pack_model
from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint
from util.errors import InputError
from util.model_folder import CONFIG, WEIGHTS, ModelConfig, folder_flags

pytestmark = pytest.mark.usefixtures("one_thread")


def packed(folder, checkpoint, text_encoder, *flags):
    """A model folder; flags of the inference programs may be added. Random weights' masks may change: --force."""
    given = ("--resume", checkpoint, "--text_encoder", text_encoder, "--output", folder, "--force", *flags)
    assert pack_model([str(flag) for flag in given]) == 0
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory, checkpoint, text_encoder):
    return packed(tmp_path_factory.mktemp("models") / "tiny", checkpoint, text_encoder, "--short_side", "48")


@pytest.fixture
def model(original, tmp_path):
    """The test's own copy, to be broken at will."""
    return shutil.copytree(original, tmp_path / "model")


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach another machine fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("something was to be fetched")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def settings_of(*flags):
    return parse_settings([str(flag) for flag in flags])


def change(folder, **entries):
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(content | entries))


# ---- as flags


def test_the_folder_says_what_the_network_is_made_of(model, tiny_flags):
    ours, flags = settings_of("--resume", model), settings_of(*tiny_flags, "--resume", model / WEIGHTS)
    assert ours.model.text_encoder == str(model / "text_encoder")
    assert flags.model == type(flags.model)(**vars(ours.model) | {"text_encoder": flags.model.text_encoder})
    assert ours.inference.short_side == 48


def test_given_flags_win(model, tmp_path):
    settings = settings_of("--short_side", "64", "--resume", model, "--text_encoder", tmp_path, "--key_candidates", "3")
    assert settings.inference.short_side == 64
    assert settings.inference.key_candidates == 3
    assert settings.model.text_encoder == str(tmp_path)
    assert settings.model.hidden_dim == 32, "what is not given is the model's"


def test_all_of_the_make_up_can_be_recorded(tmp_path):
    make_up = {"rel_coord": False, "num_classes": 65, "dilation": True, "dropout": 0, "hidden_dim": 64}
    ModelConfig(make_up, {"threshold": 0.3}).write(tmp_path)
    settings = settings_of("--resume", tmp_path)
    assert {name: getattr(settings.model, name) for name in make_up} == make_up
    assert settings.inference.threshold == 0.3


def test_key_frames_that_the_folder_recommends_do_not_hinder_no_tracking(tmp_path):
    ModelConfig({}, {"key_candidates": 4, "key_frame_selector": "restart"}).write(tmp_path)
    assert not settings_of("--resume", tmp_path, "--no_tracking").model.tracking


def test_flags_of_a_file_find_the_folder(model, tmp_path):
    (tmp_path / "flags.txt").write_text(f"--resume={model}")
    assert settings_of(f"@{tmp_path / 'flags.txt'}").inference.short_side == 48


def test_training_starts_from_a_folder(model):
    settings = settings_of("--pretrained_weights", model)
    network, _, _ = build_model(settings)
    report = load_weights(network, settings.run.pretrained_weights, finetune=True)
    assert report.loaded == report.total


def test_a_stopped_training_goes_on_with_the_make_up_that_it_started_from(model, checkpoint):
    settings = settings_of("--pretrained_weights", model, "--resume", checkpoint)
    assert settings.model == settings_of("--pretrained_weights", model).model
    assert settings.run.resume == str(checkpoint)


# ---- loading


def test_weights_are_float32_and_those_of_the_file(model, no_network, monkeypatch):
    monkeypatch.setattr("models.tracker.speed_up", lambda network, precision: None)  # which folds some into others
    network = load_tracker(settings_of("--resume", model, "--device", "cpu")).segmenter.network
    half, state = load_file(model / WEIGHTS), network.state_dict()
    assert {value.dtype for value in half.values()} == {torch.float16}
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert all(torch.equal(state[name], value.float()) for name, value in half.items())


def test_a_folder_may_be_moved_and_fetches_nothing(model, tmp_path, no_network):
    moved = model.rename(tmp_path / "elsewhere")
    tracker = load_tracker(settings_of("--resume", moved, "--device", "cpu"))
    tracker.check_caption(SENTENCES[0])
    frames = list(clip_images(2, (60, 100)))
    assert sorted(frame.index for frame in tracker.track(frames, SENTENCES[0])) == [0, 1]


def test_a_key_model_has_its_own_text_encoder(model, tmp_path):
    make_text_encoder(tmp_path / "text", SENTENCES, Shape(hidden=64))
    make_checkpoint(tmp_path / "other.pth", tmp_path / "text")
    other = packed(tmp_path / "other", tmp_path / "other.pth", tmp_path / "text")
    tracker = load_tracker(settings_of("--resume", model, "--key_model", other, "--device", "cpu"))
    widths = [s.network.text_encoder.config.hidden_size for s in (tracker.segmenter, tracker.key_segmenter)]
    assert widths == [32, 64]
    assert len(list(tracker.track(list(clip_images(2, (60, 100))), SENTENCES[0]))) == 2


def test_inference_needs_no_other_flag(model, ytvos, tmp_path, program, no_network):
    where = ("--ytvos_path", ytvos, "--output_dir", tmp_path / "output", "--device", "cpu", "--ngpu", "1")
    outcome = program(inference_ytvos, "--resume", model, *where)
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "output" / "valid").rglob("*.png"))) == 12


# ---- what is wrong


def refusal(model):
    with pytest.raises(InputError) as caught:
        settings_of("--resume", model)
    message = str(caught.value)
    assert "\n" not in message
    assert str(model / CONFIG) in message
    return message


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "{}", '{"model": {}, "inference": {}}', '{"architectures": ["RobertaModel"]}']
)
def test_what_is_no_config_is_refused(model, content):
    (model / CONFIG).write_text(content)
    assert '"text_encoder" must be in it' in refusal(model)


@pytest.mark.parametrize("group", ["model", "inference"])
@pytest.mark.parametrize("value", [[], "words", {"hidden_dim": [32]}, {"hidden_dim": None}])
def test_groups_hold_plain_values(model, group, value):
    change(model, **{group: value})
    assert "must hold numbers, words" in refusal(model)


@pytest.mark.parametrize("name", ["", "..", "../text_encoder", "/etc", 3])
def test_the_text_encoder_lies_in_the_folder(model, name):
    change(model, text_encoder=name)
    assert '"text_encoder" must be the name of a folder' in refusal(model)


@pytest.mark.parametrize(("group", "name"), [("inference", "output_dir"), ("inference", "overwrite"), ("model", "lr")])
def test_a_model_decides_nothing_of_the_run(model, group, name):
    change(model, **{group: {name: 1}})
    assert f"{name}: not known here" in refusal(model)


@pytest.mark.parametrize(("group", "flags"), [("inference", {"short_side": "wide"}), ("model", {"nheads": 0.5})])
def test_values_of_another_type_name_their_flag(model, group, flags, capsys):
    change(model, **{group: flags})
    with pytest.raises(SystemExit) as left:
        settings_of("--resume", model)
    assert left.value.code == 2
    assert f"argument --{next(iter(flags))}: invalid int value" in capsys.readouterr().err


def test_a_folder_without_weights(model):
    (model / WEIGHTS).unlink()
    with pytest.raises(InputError, match="No such file"):
        read_checkpoint(model)


def test_a_folder_that_is_no_model(model, ytvos, program):
    (model / CONFIG).unlink()
    outcome = program(inference_ytvos, "--resume", model, "--ytvos_path", ytvos)
    assert outcome.code == 2
    assert str(model) in outcome.errors[0]
    with pytest.raises(InputError, match="no model's"):
        read_checkpoint(model)


def test_flags_are_none_that_the_parser_lacks(model):
    flags = folder_flags(model, [*ModelConfig.read(model).model])
    assert "--with_box_refine" in flags and "--dilation" not in flags
    assert "--hidden_dim=32" in flags and "--binary" in flags and "--no_rel_coord" not in flags
