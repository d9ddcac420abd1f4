"""Checkpoints and model folders that are damaged, hold odd tensors, or record what no network is."""

import io
import json
import shutil
from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.tracker import load_tracker
from opts import parse_settings
from tests.faults.refusals import STRANGE, damaged, put, rewritten, tally
from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint, save_checkpoint
from util.model_folder import ModelConfig, folder_flags
from util.run_record import recorded_model


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


WEIGHTS = small().state_dict()


def saved(content, **how):
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def finite(model):
    return all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damaged_checkpoints(tmp_path, kind):
    """Refused or whole: a network is never half loaded, and what it computes is finite."""
    path = tmp_path / ("c.safetensors" if kind == "safetensors" else "c.pth")
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    else:
        path.write_bytes(saved({"model": WEIGHTS}, _use_new_zipfile_serialization=kind == "zip"))
    whole = path.read_bytes()
    with tally("bad checkpoints: cut off or with changed bytes") as tries:
        for length in (0, 1, 8, 100, len(whole) // 2):
            path.write_bytes(whole[:length])
            tries.refused(lambda: read_checkpoint(path), str(path))

        def attempt(data):
            path.write_bytes(data)
            model = small()
            tries.settled(lambda: load_weights(model, path), str(path), right=lambda _: finite(model))

        tries.each(damaged(whole), attempt)


def changed(name, value):
    return WEIGHTS | {name: value}


WEIGHT = WEIGHTS["0.weight"]
ODD = {
    "NaN": changed("0.weight", WEIGHT * float("nan")),
    "infinity": changed("0.bias", WEIGHTS["0.bias"] / 0),
    "another shape": changed("0.weight", WEIGHT.T.contiguous()),
    "whole numbers": changed("0.weight", WEIGHT.int()),
    "complex": changed("0.weight", WEIGHT + 0j),
    "sparse": changed("0.weight", WEIGHT.to_sparse()),
    "8-bit fractions": changed("0.weight", WEIGHT.to(torch.float8_e4m3fn)),
    "without data": changed("0.weight", WEIGHT.to("meta")),
    "claimed, not held": changed("0.weight", torch.zeros(1).expand(4, 3)),
    "claimed, and huge": changed("bbox_embed.0", torch.zeros(1).expand(10**6, 10**7)),
    "one too many": changed("1.extra", WEIGHT),
    "one too few": {name: value for name, value in WEIGHTS.items() if name != "0.bias"},
    "no tensor": changed("0.weight", [1.0]),
    "a name that is none": {3: WEIGHT, **WEIGHTS},
    "none": {},
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_tensors(tmp_path, kind):
    path = put(tmp_path / "c.pth", saved({"model": ODD[kind]}))
    model = small()
    with tally("bad checkpoints: NaN, odd kinds, wrong sizes") as tries:
        tries.refused(lambda: load_weights(model, path), str(path))
    assert all(torch.equal(value, WEIGHTS[name]) for name, value in model.state_dict().items())


NO_CHECKPOINTS = {
    "a number": 7, "a list": [WEIGHTS], "text": "model", "no network": {"model": {}}, "a list in it": {"model": [1]},
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
@pytest.mark.parametrize("legacy", [False, True])
def test_no_checkpoints(tmp_path, kind, legacy):
    path = put(tmp_path / "c.pth", saved(NO_CHECKPOINTS[kind], _use_new_zipfile_serialization=not legacy))
    with tally("bad checkpoints: another file in their place, or none") as tries:
        tries.refused(lambda: read_checkpoint(path), str(path))
        tries.refused(lambda: read_checkpoint(tmp_path), str(tmp_path))
        for name in ("none.pth", "none.safetensors"):
            tries.refused(lambda: read_checkpoint(tmp_path / name), name)  # noqa: B023 (called here)
            tries.refused(lambda: read_checkpoint(put(tmp_path / name, b"GIF89a" * 50)), name)  # noqa: B023
            (tmp_path / name).unlink()


def test_strange_records(text_encoder):
    """`args` of a file may say anything of the network; what fits none is refused before it is built."""
    model = parse_settings(["--text_encoder", str(text_encoder)]).model
    record = {"hidden_dim": 256, "nheads": 8, "dropout": 0.1, "backbone": "resnet50", "with_box_refine": True}
    with tally("bad checkpoints: strange records of the network") as tries:
        assert recorded_model({"model": {}, "args": record}, model).hidden_dim == 256
        for name in record:
            for value in (*STRANGE, [256], {"a": 1}):
                for args in ({name: value}, Namespace(**{name: value})):
                    usual = type(record[name])
                    tries.settled(
                        lambda: recorded_model({"model": {}, "args": args}, model),  # noqa: B023 (called here)
                        name,
                        right=lambda made: isinstance(getattr(made, name), usual | int),  # noqa: B023
                    )


@pytest.fixture
def folder(tmp_path, checkpoint, text_encoder):
    """A model folder of the tiny network."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_checkpoint(folder / "model.safetensors", {"model": read_checkpoint(checkpoint)["model"]})
    shutil.copytree(text_encoder, folder / "text_encoder")
    return folder


CONFIG = {"model": {"hidden_dim": 32, "nheads": 4}, "inference": {"short_side": 64}, "text_encoder": "text_encoder"}


def test_strange_configs(folder):
    path = folder / "config.json"
    with tally("bad model folders: config.json with a strange value, or damaged") as tries:

        def strange(content):
            path.write_text(json.dumps(content))
            tries.settled(lambda: folder_flags(folder, ["hidden_dim", "nheads"]), str(path))

        def bytes_changed(data):
            path.write_bytes(data)
            tries.settled(lambda: ModelConfig.read(folder), str(path))

        tries.each(rewritten(CONFIG), strange)
        tries.each(damaged(json.dumps(CONFIG).encode()), bytes_changed)


def test_incomplete_model_folders(folder, inference_flags):
    path = put(folder / "config.json", json.dumps(CONFIG).encode())
    with tally("bad model folders: parts missing or damaged") as tries:
        for name in ("text_encoder/config.json", "text_encoder/tokenizer.json", "model.safetensors"):
            whole = (folder / name).read_bytes() if (folder / name).exists() else b""
            for data in (b"", b"[]", b'{"a": 1}', b"\xff\xfe", whole[: len(whole) // 2]):
                put(folder / name, data)
                settings = parse_settings(
                    [*inference_flags, "--resume", str(folder), "--text_encoder", str(folder / "text_encoder")]
                )
                tries.settled(lambda: load_tracker(settings).check_caption("a red ball"))  # noqa: B023 (called here)
            put(folder / name, whole)
    assert path.exists()
