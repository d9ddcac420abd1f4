"""tools/pack_model.py: what it writes, which weights it takes, and what it refuses."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from models.frame_segmenter import FrameSegmenter
from models.tracker import load_tracker
from opts import parse_settings
from tools import pack_model
from tools.make_untrained import SENTENCES, clip_images
from util.checkpoint_file import read_checkpoint, save_checkpoint
from util.run_record import flat

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def many_may_change(monkeypatch):
    """Random weights' probabilities lie near the threshold: on some processors more than the usual share changes."""
    monkeypatch.setattr(pack_model, "MOST_CHANGED", 0.2)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "models" / "tiny"


@pytest.fixture
def pack(program, text_encoder, output):
    """pack(checkpoint, *flags) -> Outcome"""

    def run(checkpoint, *flags):
        return program(
            pack_model.main, "--resume", checkpoint, "--text_encoder", text_encoder, "--output", output, *flags
        )

    return run


@pytest.fixture
def trained(checkpoint, tmp_path, tiny_flags):
    """A checkpoint as training writes it: all settings, and averaged weights that differ."""
    content = read_checkpoint(checkpoint)
    settings = parse_settings([*tiny_flags, "--short_side", "52"])
    average = {f"module.{name}": value + 0.125 for name, value in content["model"].items()}
    content |= {"ema": average | {"n_averaged": torch.tensor(7)}, "args": flat(settings)}
    save_checkpoint(tmp_path / "trained.pth", content)
    return tmp_path / "trained.pth"


def failed(outcome, output, *parts):
    """One clear line, exit code 2, and nothing is left behind."""
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line
    assert not output.parent.exists() or not list(output.parent.iterdir())


def packed(outcome):
    assert outcome.code == 0, outcome.err
    return outcome


def test_the_folder_is_whole_and_gives_the_same_masks(pack, output, checkpoint, text_encoder):
    outcome = packed(pack(checkpoint))
    files = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    encoder = {f"text_encoder/{name}" for name in ("config.json", "vocab.json", "merges.txt")}
    assert files == {"config.json", "model.safetensors", "MODEL_CARD.md", *encoder}
    assert str(text_encoder) not in (output / "config.json").read_text()
    size = sum((output / name).stat().st_size for name in files)
    assert f"{size / 1e6:9.3f} MB  in all" in outcome.out
    assert "half precision changes at most" in outcome.out
    assert "TF²" in (output / "MODEL_CARD.md").read_text(encoding="utf-8")
    plain = parse_settings(["--resume", str(checkpoint), "--text_encoder", str(text_encoder), "--device", "cpu"])
    whole = load_tracker(plain, recorded=True).segmenter
    half = load_tracker(parse_settings(["--resume", str(output), "--device", "cpu"])).segmenter
    (image,) = clip_images(1, (60, 100))
    one, other = (s.segment(image, s.encode_text(SENTENCES[1])) for s in (whole, half))
    assert (one.probability - other.probability).abs().max() < 0.05
    assert ((one.probability > 0.5) == (other.probability > 0.5)).float().mean() > 0.8
    assert one.probability.std() > 0.01, "a mask that says something"


def test_every_tensor_is_there_once(pack, output, checkpoint):
    packed(pack(checkpoint))
    tensors, model = load_file(output / "model.safetensors"), read_checkpoint(checkpoint)["model"]
    missing = model.keys() - tensors.keys()
    assert missing
    assert all("bbox_embed" in name for name in missing), "these have two names"
    assert all(torch.equal(value, model[name].to(value.dtype)) for name, value in tensors.items())


def test_averaged_weights(pack, output, trained, checkpoint):
    packed(pack(trained))
    plain = load_file(output / "model.safetensors")
    packed(pack(trained, "--ema", "--force"))
    average, model = load_file(output / "model.safetensors"), read_checkpoint(checkpoint)["model"]
    name = "query_embed.weight"
    assert torch.equal(plain[name], model[name].half())
    assert torch.equal(average[name], (model[name] + 0.125).half())
    shutil.rmtree(output)
    failed(pack(checkpoint, "--ema"), output, checkpoint, "leave --ema out")


def test_inference_flags_are_the_recorded_then_the_given_ones(pack, output, trained):
    def inference():
        return json.loads((output / "config.json").read_text())["inference"]

    packed(pack(trained))
    assert inference() | {"short_side": 52, "threshold": 0.5} == inference()
    packed(pack(trained, "--short_side", "60", "--threshold", "0.4"))
    assert inference() | {"short_side": 60, "threshold": 0.4} == inference()


def test_a_card(pack, output, checkpoint, tmp_path):
    card = tmp_path / "card.md"
    failed(pack(checkpoint, "--card", card), output, card, "--card")
    card.write_text("# A small model\n\nJ&F: 12³\n", encoding="utf-8")
    packed(pack(checkpoint, "--card", card))
    assert (output / "MODEL_CARD.md").read_bytes() == card.read_bytes()


def test_a_folder_is_packed_again(pack, output, checkpoint, tmp_path):
    packed(pack(checkpoint, "--short_side", "56"))
    source = output.rename(tmp_path / "source")
    packed(pack(source))
    before, after = (load_file(folder / "model.safetensors") for folder in (source, output))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((output / "config.json").read_text())["inference"]["short_side"] == 56


# ---- what is refused


def test_more_than_a_repository_should_carry(pack, output, checkpoint, monkeypatch):
    monkeypatch.setattr(pack_model, "MOST_BYTES", 500_000)
    failed(pack(checkpoint), output, "the folder would have 0.6 MB", "--force")
    packed(pack(checkpoint, "--force"))


def test_weights_beyond_half_precision(pack, output, checkpoint, tmp_path):
    content = read_checkpoint(checkpoint)
    content["model"]["query_embed.weight"][0, 0] = 1e6
    save_checkpoint(tmp_path / "large.pth", content)
    failed(pack(tmp_path / "large.pth", "--force"), output, "beyond half precision", "query_embed.weight")


def test_masks_that_are_not_the_checkpoints(pack, output, checkpoint, monkeypatch):
    def save_others(path, payload):
        state = payload["model"]
        for name in [name for name in state if name.startswith("controller")]:
            state[name] = -state[name]
        save_checkpoint(path, payload)

    monkeypatch.setattr(pack_model, "save_checkpoint", save_others)
    failed(pack(checkpoint), output, "half precision changes")


def test_a_folder_of_other_things_is_left_alone(pack, output, checkpoint):
    output.mkdir(parents=True)
    (output / "thesis.txt").write_text("dear")
    outcome = pack(checkpoint)
    assert outcome.code == 2
    assert f"{output} is there and is no model folder" in outcome.errors[0]
    assert [path.name for path in output.iterdir()] == ["thesis.txt"]


def test_input_that_is_not_there(pack, output, checkpoint, tmp_path):
    failed(pack(tmp_path / "none.pth"), output, tmp_path / "none.pth")
    failed(pack(checkpoint, "--text_encoder", "roberta-base"), output, "roberta-base: no such folder")
    (tmp_path / "empty").mkdir()
    failed(pack(checkpoint, "--text_encoder", tmp_path / "empty"), output, tmp_path / "empty", "no config.json")


def test_segmenters_are_compared_at_the_packed_size(pack, checkpoint, monkeypatch):
    sizes = []
    made = FrameSegmenter.__init__

    def counted(self, network, short_side):
        sizes.append(short_side)
        made(self, network, short_side)

    monkeypatch.setattr(FrameSegmenter, "__init__", counted)
    packed(pack(checkpoint, "--short_side", "72"))
    assert set(sizes) == {72}
