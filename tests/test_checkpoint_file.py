"""util/checkpoint_file.py: hostile and broken files are refused, whole ones come back."""

import argparse
import collections
import os
import pickle
import zipfile

import pytest
import torch
from checkpoint_network import BOX, Network, assert_equal_states, one_line, refusal
from safetensors.torch import load_file, save_file, save_model

from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint, save_checkpoint
from util.errors import InputError


class Hostile:
    """Unpickled by the ordinary pickle module, it makes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def released_payload():
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters())
    network.class_embed[0](torch.ones(4)).sum().backward()
    optimizer.step()
    return {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict(),
        "epoch": 5,
        "args": argparse.Namespace(backbone="resnet50", lr_drop=[3, 5], nested=argparse.Namespace(masks=True)),
    }


# ---- reading


@pytest.mark.parametrize("zipped", [True, False])
def test_released_files_are_read_whole(tmp_path, zipped):
    payload = released_payload()
    torch.save(payload, tmp_path / "released.pth", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "released.pth")
    assert_equal_states(read["model"], payload["model"])
    assert read["args"] == payload["args"] and read["epoch"] == 5
    assert read["lr_scheduler"]["milestones"] == collections.Counter([3, 5])
    assert read["optimizer"]["param_groups"] == payload["optimizer"]["param_groups"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_hostile_checkpoint_runs_nothing(tmp_path, zipped, protocol):
    trace, path = tmp_path / "it_ran", tmp_path / "hostile.pth"
    payload = released_payload() | {"extra": Hostile(trace)}
    torch.save(payload, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    message = refusal(path)
    assert not trace.exists()
    # torch refuses newer protocols as a whole; inside a zip the names are then not looked up.
    assert ".system" in message or (protocol == 4 and zipped)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_bare_pickle_runs_nothing(tmp_path, protocol):
    trace, path = tmp_path / "it_ran", tmp_path / "hostile.pth"
    path.write_bytes(pickle.dumps({"model": Hostile(trace)}, protocol=protocol))
    message = refusal(path)
    assert not trace.exists()
    assert "refused" in message and ".system" in message
    pickle.loads(path.read_bytes())
    assert trace.exists(), "the file was not hostile, so the test proved nothing"


def test_class_outside_the_list_is_named(tmp_path):
    torch.save({"model": {"a": torch.zeros(1)}, "when": collections.deque([1])}, tmp_path / "a.pth")
    assert "collections.deque" in refusal(tmp_path / "a.pth")


def test_hostile_file_named_safetensors_runs_nothing(tmp_path):
    trace, path = tmp_path / "it_ran", tmp_path / "hostile.safetensors"
    path.write_bytes(pickle.dumps(Hostile(trace)))
    refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "legacy protocol 4", "safetensors"])
def test_cut_off_files_are_refused_in_one_line(tmp_path, kind):
    whole, path = tmp_path / f"whole.{kind}", tmp_path / ("cut.safetensors" if kind == "safetensors" else "cut.pth")
    if kind == "safetensors":
        save_file({"a": torch.ones(100)}, whole)
    else:
        protocol = 4 if "4" in kind else 2
        torch.save(released_payload(), whole, _use_new_zipfile_serialization=kind == "zip", pickle_protocol=protocol)
    content = whole.read_bytes()
    for length in [0, 1, 2, 7, 10, 100, *range(150, len(content), len(content) // 20), len(content) - 1]:
        path.write_bytes(content[:length])
        message = refusal(path)
        assert "cut off" in message or "empty" in message
        assert "is refused" not in message


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, {"model": {}}, {"model": {"a": 1}}, torch.zeros(2)])
def test_files_without_a_network_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    assert "give another file" in refusal(tmp_path / "a.pth")


def test_what_is_no_file_is_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing.pth")
    assert "folder" in refusal(tmp_path)
    (tmp_path / "text.pth").write_text("<html>404</html>")
    assert "no checkpoint" in refusal(tmp_path / "text.pth")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("a.txt", "a")
    assert "no checkpoint" in refusal(tmp_path / "other.pth")


@pytest.mark.parametrize("key", [None, "model", "state_dict"])
def test_state_dicts_are_found_where_they_lie(tmp_path, key):
    state = Network().state_dict()
    torch.save(state if key is None else {key: state, "meta": {"epoch": 3}}, tmp_path / "a.pth")
    read = read_checkpoint(tmp_path / "a.pth")
    assert_equal_states(read["model"], state)
    assert key is None or read["meta"] == {"epoch": 3}


# ---- writing


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("refine", [True, False])
def test_saved_weights_come_back(tmp_path, name, refine):
    donor, network = Network(refine=refine), Network(refine=refine)
    save_checkpoint(tmp_path / name, {"model": donor.state_dict(), "metadata": {"commit": "abc"}})
    report = load_weights(network, tmp_path / name)
    assert_equal_states(network.state_dict(), donor.state_dict())
    assert report.loaded == report.total and not report.dropped
    assert read_checkpoint(tmp_path / name)["metadata"] == {"commit": "abc"}
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_safetensors_hold_each_tensor_once_and_only_the_model(tmp_path):
    network = Network(refine=False)
    save_checkpoint(tmp_path / "a.safetensors", {"model": network.state_dict(), "epoch": 3})
    tensors = load_file(tmp_path / "a.safetensors")
    assert BOX + "0.weight" in tensors and BOX + "1.weight" not in tensors
    assert set(read_checkpoint(tmp_path / "a.safetensors")) == {"model"}


def test_views_of_a_larger_tensor_are_saved(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    state = {"top": whole[0], "bottom": whole[1], "turned": whole.T, "none": torch.empty(0), "void": torch.empty(0)}
    save_checkpoint(tmp_path / "a.safetensors", {"model": state})
    read = read_checkpoint(tmp_path / "a.safetensors")["model"]
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_files_of_the_safetensors_library_are_read(tmp_path):
    donor, network = Network(refine=False), Network(refine=False)
    save_model(donor, str(tmp_path / "a.safetensors"))
    load_weights(network, tmp_path / "a.safetensors")
    assert_equal_states(network.state_dict(), donor.state_dict())


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, name):
    resource = pytest.importorskip("resource")
    save_checkpoint(tmp_path / name, {"model": {"a": torch.zeros(1)}})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(InputError, match=f"cannot write .*{name}") as caught:
            save_checkpoint(tmp_path / name, {"model": {"a": torch.zeros(100_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_line(caught)
    assert read_checkpoint(tmp_path / name)["model"]["a"].shape == (1,)
    assert [file.name for file in tmp_path.iterdir()] == [name]
