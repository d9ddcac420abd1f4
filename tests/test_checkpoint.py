"""util/checkpoint.py: strict loading, old names, hints."""

import argparse

import pytest
import torch
from checkpoint_network import BOX, DECODER_BOX, POSITION_IDS, Network, assert_equal_states, one_line, refusal
from torch import nn

from util.checkpoint import backbone_name, load_weights, released_state_dict
from util.errors import InputError

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
