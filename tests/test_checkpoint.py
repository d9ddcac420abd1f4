"""util/checkpoint.py: hostile and broken files, strict loading, old names, hints, whole files."""

import argparse
import collections
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from util.checkpoint import backbone_name, load_weights, read_checkpoint, released_state_dict, save_checkpoint
from util.errors import InputError

DECODER_BOX, BOX = "transformer.decoder.bbox_embed.", "bbox_embed."
POSITION_IDS = "text_encoder.embeddings.position_ids"


class Network(nn.Module):
    """The names that matter, tiny: a class head, box heads under two names, a computed buffer, a backbone."""

    def __init__(self, classes=1, width=4, refine=True):
        super().__init__()
        heads = [nn.Linear(width, 4) for _ in range(2 if refine else 1)]
        self.bbox_embed = nn.ModuleList(heads if refine else heads * 2)
        self.transformer = nn.Module()
        self.transformer.decoder = nn.Module()
        if refine:
            self.transformer.decoder.bbox_embed = self.bbox_embed
        self.class_embed = nn.ModuleList(nn.Linear(width, classes) for _ in range(2))
        self.backbone = nn.Linear(width, width)
        self.backbone.register_buffer("relative_position_index", torch.arange(width))


class Hostile:
    """Unpickled by the ordinary pickle module, it makes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        load_weights(Network(), path, **options)
    message = one_line(caught)
    assert str(path) in message
    return message


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


def assert_equal_states(one, other):
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


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


# ---- names


def test_old_names_are_brought_to_todays():
    old = {"module." + name: value for name, value in Network().state_dict().items()}
    old["module." + POSITION_IDS] = torch.arange(3)
    old["module.backbone.0.body.bn1.num_batches_tracked"] = torch.tensor(1)
    assert set(released_state_dict(old)) == set(Network().state_dict())


@pytest.mark.parametrize("absent", [DECODER_BOX, BOX, "neither"])
def test_tied_box_heads_are_there_under_both_names(absent):
    donor, network = Network(), Network()
    state = {name: value for name, value in donor.state_dict().items() if not name.startswith(absent)}
    report = load_weights(network, state)
    assert_equal_states(network.state_dict(), donor.state_dict())
    assert report.loaded == report.total == len(network.state_dict())


def test_tied_box_heads_that_differ_are_refused(tmp_path):
    state = Network().state_dict()
    state[BOX + "1.bias"] = state[BOX + "1.bias"] + 1
    torch.save({"model": state}, tmp_path / "a.pth")
    assert "differ" in refusal(tmp_path / "a.pth")


def test_box_heads_are_not_filled_in_where_the_network_has_one_name():
    donor, network = Network(refine=False), Network(refine=False)
    load_weights(network, donor.state_dict())
    assert_equal_states(network.state_dict(), donor.state_dict())


def test_different_heads_are_not_loaded_into_one(tmp_path):
    state = {name: value for name, value in Network().state_dict().items() if not name.startswith(DECODER_BOX)}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match="--with_box_refine"):
        load_weights(Network(refine=False), tmp_path / "a.pth")


def test_an_old_name_the_network_has_is_loaded():
    network = nn.ModuleDict({"backbone": nn.BatchNorm1d(2)})
    state = network.state_dict() | {"backbone.num_batches_tracked": torch.tensor(7)}
    load_weights(network, state)
    assert network["backbone"].num_batches_tracked == 7


# ---- loading


def test_loading_is_all_or_nothing(tmp_path):
    network = Network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = Network().state_dict()
    del state["class_embed.1.bias"]
    state |= {f"surplus.{index}": torch.zeros(1) for index in range(11)}
    state["class_embed.0.weight"] = torch.zeros(1, 5)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError) as caught:
        load_weights(network, tmp_path / "a.pth")
    message = one_line(caught)
    assert "1 missing (class_embed.1.bias)" in message
    assert "11 unexpected (surplus.0, " in message and "surplus.7 and 3 more" in message
    assert "1 of another shape (class_embed.0.weight [1, 5] for [1, 4])" in message
    assert_equal_states(network.state_dict(), before)


def test_finetuning_keeps_only_class_heads_of_another_size():
    network, donor = Network(classes=1), Network(classes=65)
    fresh = {name: value.clone() for name, value in network.state_dict().items() if name.startswith("class_embed.")}
    report = load_weights(network, donor.state_dict(), finetune=True)
    assert report.reinitialised == tuple(fresh) and report.loaded == report.total - len(fresh)
    assert "class_embed.0.weight" in str(report)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in fresh.items())
    assert torch.equal(network.bbox_embed[1].weight, donor.bbox_embed[1].weight)


def test_finetuning_is_strict_elsewhere_and_takes_a_head_that_fits():
    donor, network = Network(), Network()
    load_weights(network, donor.state_dict(), finetune=True)
    assert torch.equal(network.class_embed[0].weight, donor.class_embed[0].weight)
    state = donor.state_dict()
    del state["class_embed.0.bias"]
    with pytest.raises(InputError, match="1 missing"):
        load_weights(network, state, finetune=True)
    with pytest.raises(InputError, match="of another shape"):
        load_weights(Network(width=5), donor.state_dict(), finetune=True)


def test_computed_buffers_may_be_absent_and_old_ones_are_reported():
    state = Network().state_dict() | {POSITION_IDS: torch.arange(3)}
    del state["backbone.relative_position_index"]
    network = Network()
    report = load_weights(network, {"model": state, "epoch": 1})
    assert report.computed == ("backbone.relative_position_index",) and report.dropped == (POSITION_IDS,)
    assert torch.equal(network.backbone.relative_position_index, torch.arange(4))
    assert "1 computed" in str(report) and POSITION_IDS in str(report)


@pytest.mark.parametrize(
    ("held", "wanted", "hint"),
    [
        (65, 1, "65 outputs, the network's 1: give --dataset_file ytvos without --binary"),
        (1, 78, "1 outputs, the network's 78: give --binary,"),
        (7, 1, "--dataset_file it was trained for"),
    ],
)
def test_class_head_hint(held, wanted, hint):
    with pytest.raises(InputError) as caught:
        load_weights(Network(classes=wanted), Network(classes=held).state_dict())
    assert hint in one_line(caught)


# ---- hints


def resnet(blocks):
    names = ["conv1.weight", "layer3.0.conv3.weight", *(f"layer3.{index}.bn1.weight" for index in range(blocks))]
    return {f"backbone.0.body.{name}": torch.zeros(1) for name in names}


def swin(width, blocks, video=False):
    body = {f"layers.2.blocks.{index}.norm1.weight": torch.zeros(1) for index in range(blocks)}
    body["patch_embed.proj.weight"] = torch.zeros(width, 3, *([1] if video else []), 4, 4)
    return {f"backbone.0.body.{name}": value for name, value in body.items()}


BACKBONES = {
    "resnet50": resnet(6),
    "resnet101": resnet(23),
    "swin_t_p4w7": swin(96, 6),
    "swin_s_p4w7": swin(96, 18),
    "swin_b_p4w7": swin(128, 18),
    "swin_l_p4w7": swin(192, 18),
    "video_swin_t_p4w7": swin(96, 6, video=True),
    "video_swin_s_p4w7": swin(96, 18, video=True),
    "video_swin_b_p4w7": swin(128, 18, video=True),
}


class Backbone(nn.Module):
    """A module whose state dict is the given one."""

    def __init__(self, state):
        super().__init__()
        for name, value in state.items():
            *path, leaf = name.split(".")
            module = self
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = getattr(module, part)
            module.register_buffer(leaf, value)


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_are_told_apart(name):
    assert backbone_name(BACKBONES[name]) == name
    other = "resnet50" if name != "resnet50" else "resnet101"
    with pytest.raises(InputError, match=f"give --backbone {name}$"):
        load_weights(Backbone(BACKBONES[other]), BACKBONES[name])


def test_unknown_backbones_are_named_by_the_files_settings():
    state = {"backbone.0.body.stem.weight": torch.zeros(1)}
    checkpoint = {"model": state, "args": argparse.Namespace(backbone="convnext_tiny")}
    assert backbone_name(state) is None
    with pytest.raises(InputError, match="--backbone convnext_tiny"):
        load_weights(Backbone(resnet(6)), checkpoint)
    with pytest.raises(InputError) as caught:
        load_weights(Backbone(resnet(6)), state)
    assert "--backbone" not in str(caught.value)


def test_no_backbone_hint_where_the_backbone_is_the_same():
    with pytest.raises(InputError) as caught:
        load_weights(Backbone(resnet(6)), resnet(6) | {"backbone.0.body.surplus": torch.zeros(1)})
    assert "--backbone" not in str(caught.value)


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
