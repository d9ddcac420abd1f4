"""Backbones: names and shapes of their weights, sizes of their levels, numbers against torchvision's, files, errors.

Large networks are built on the meta device, where names and shapes cost nothing; the rest are small.
"""

import functools
import json
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import ResNet, swin_t
from torchvision.models.resnet import Bottleneck
from torchvision.models.swin_transformer import PatchMerging as TorchvisionMerging
from torchvision.models.video.swin_transformer import SwinTransformer3d as TorchvisionVideoSwin
from torchvision.ops import FrozenBatchNorm2d

from models import backbone as backbones
from models.backbone import build_backbone
from models.frozen_bottleneck import FrozenBottleneck
from models.swin_transformer import SWIN_CONFIGS, SwinConfig, SwinTransformer
from models.video_swin_transformer import VIDEO_SWIN_CONFIGS, VideoSwinTransformer
from util.errors import InputError

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"
PREFIX = "backbone.0."
CHANNELS = {
    "resnet50": [256, 512, 1024, 2048],
    "resnet101": [256, 512, 1024, 2048],
    "swin_t_p4w7": [96, 192, 384, 768],
    "swin_s_p4w7": [96, 192, 384, 768],
    "swin_b_p4w7": [128, 256, 512, 1024],
    "swin_l_p4w7": [192, 384, 768, 1536],
    "video_swin_t_p4w7": [96, 192, 384, 768],
    "video_swin_s_p4w7": [96, 192, 384, 768],
    "video_swin_b_p4w7": [128, 256, 512, 1024],
}
TIMM_CHANNELS = {
    "timm:swin_tiny_patch4_window7_224": [96, 192, 384, 768],
    "timm:convnext_tiny": [96, 192, 384, 768],
    "timm:tf_efficientnet_lite0": [24, 40, 112, 320],
    "timm:resnet18": [64, 128, 256, 512],
    "timm:mobilenetv3_small_100": [16, 24, 48, 576],
}
SIZES_90_160 = [(23, 40), (12, 20), (6, 10), (3, 5)]
TINY = SwinConfig(8, (2, 2, 2, 2), (1, 2, 2, 4), 0.2)


@pytest.fixture
def tiny_networks(monkeypatch):
    """The released names, for networks small enough to write to disk."""
    monkeypatch.setitem(SWIN_CONFIGS, "swin_t_p4w7", TINY)
    monkeypatch.setitem(VIDEO_SWIN_CONFIGS, "video_swin_t_p4w7", TINY)
    released = backbones.RESNETS["resnet50"][1]
    monkeypatch.setitem(backbones.RESNETS, "resnet50", ([1, 1, 1, 1], released))


def fill(network, seed=0):
    """Weights large enough that every part of the network shows in its output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.rand(parameter.shape, generator=generator) * 2 - 1
            if parameter.ndim > 1:
                parameter.copy_(noise * (3 / parameter[0].numel()) ** 0.5)
            else:
                parameter.add_(0.1 * noise)
    return network.eval()


def frames(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 4 - 2


def assert_same(ours, theirs, tolerance=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


# ---- names and sizes


@pytest.mark.parametrize("name", ["resnet50", "swin_t_p4w7", "video_swin_t_p4w7"])
def test_names_and_shapes_are_the_released_ones(name):
    file = GOLDEN / f"keys-{name}.json"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    golden = {key.removeprefix(PREFIX): shape for key, shape in json.loads(file.read_text()).items() if PREFIX in key}
    with torch.device("meta"):
        network = build_backbone(name, "random")
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == golden


@pytest.mark.parametrize("name", CHANNELS)
def test_released_levels(name):
    with torch.device("meta"):
        network = build_backbone(name, "random").eval()
        levels = network(torch.zeros(1, 2, 3, 90, 160))
    assert network.num_channels == CHANNELS[name]
    assert [tuple(level.shape) for level in levels] == [
        (2, channels, *size) for channels, size in zip(CHANNELS[name], SIZES_90_160, strict=True)
    ]


@pytest.mark.parametrize("name", TIMM_CHANNELS)
def test_timm_levels(name):
    network = build_backbone(name, "random").eval()
    assert network.num_channels == TIMM_CHANNELS[name]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        for size, expected in (((90, 160), SIZES_90_160), ((64, 96), [(16, 24), (8, 12), (4, 6), (2, 3)])):
            levels = network(frames(1, 1, 3, *size))
            assert [tuple(level.shape) for level in levels] == [
                (1, channels, *level_size) for channels, level_size in zip(TIMM_CHANNELS[name], expected, strict=True)
            ]


def test_timm_batch_norm_is_frozen():
    network = build_backbone("timm:mobilenetv3_small_100", "random")
    clip = frames(1, 2, 3, 32, 32)
    with torch.no_grad():
        assert_same(network.train()(clip), network.eval()(clip), tolerance=0)


def test_depths_of_the_larger_networks():
    with torch.device("meta"):
        for name, config in (SWIN_CONFIGS | VIDEO_SWIN_CONFIGS).items():
            body = build_backbone(name, "random").body
            blocks = [block for stage in body.layers for block in stage.blocks]
            rates = [block.drop_path.drop_prob for block in blocks]
            assert len(blocks) == (12 if "swin_t" in name else 24)
            assert rates[0] == 0
            assert rates[-1] == pytest.approx(config.drop_path)
            assert [rate * (len(rates) - 1) / rates[-1] for rate in rates] == pytest.approx(range(len(rates)))
            assert [stage.blocks[0].attn.num_heads for stage in body.layers] == list(config.num_heads)


# ---- numbers


def torchvision_swin_weights(body, parts):
    """Our weights under torchvision's names, where stages and mergings stand in one row called `parts`."""
    weights = {}
    for key, value in body.state_dict().items():
        key = re.sub(r"^layers\.(\d)\.blocks\.", lambda match: f"{parts}.{2 * int(match[1])}.", key)
        key = re.sub(r"^(?:layers\.(\d)\.downsample|downsamples\.(\d))\.", functools.partial(_merging_name, parts), key)
        key = key.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
        if not re.match(r"norm\d\.|.*relative_position_index", key):  # torchvision computes an index of its own
            weights[key] = value
    return weights


def _merging_name(parts, match):
    return f"{parts}.{2 * int(match[1] or match[2]) + 1}."


def load_torchvision(network, weights):
    result = network.load_state_dict(weights, strict=False)
    assert not result.unexpected_keys
    assert all(re.match(r"norm\.|head\.|.*relative_position_index", key) for key in result.missing_keys)


def torchvision_stages(parts, x):
    """Outputs of torchvision's stages, before each merging."""
    levels = []
    for part in parts:
        x = part(x)
        if not isinstance(part, TorchvisionMerging):
            levels.append(x)
    return levels


def test_swin_numbers_are_torchvisions():
    ours = fill(SwinTransformer(SWIN_CONFIGS["swin_t_p4w7"]))
    theirs = swin_t().eval()
    weights = torchvision_swin_weights(ours, "blocks")
    names = {"patch_embed.proj.": "features.0.0.", "patch_embed.norm.": "features.0.2."}
    renamed = {}
    for key, value in weights.items():
        key = next((key.replace(old, new) for old, new in names.items() if key.startswith(old)), key)
        renamed[re.sub(r"^blocks\.(\d)", lambda match: f"features.{int(match[1]) + 1}", key)] = value
    load_torchvision(theirs, renamed)
    images = frames(1, 3, 260, 264)  # every level is larger than the window: torchvision does not shift smaller ones
    with torch.inference_mode():
        expected = torchvision_stages(theirs.features[1:], theirs.features[0](images))
        expected = [ours.get_submodule(f"norm{level}")(x).permute(0, 3, 1, 2) for level, x in enumerate(expected)]
        assert_same(ours(images), expected)


@pytest.mark.parametrize("shape", [(3, 96, 128), (9, 64, 264)], ids=["small", "shifted"])
def test_video_swin_numbers_are_torchvisions(shape):
    ours = fill(VideoSwinTransformer(VIDEO_SWIN_CONFIGS["video_swin_t_p4w7"]))
    theirs = TorchvisionVideoSwin([1, 4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [8, 7, 7]).eval()
    load_torchvision(theirs, torchvision_swin_weights(ours, "features"))
    clips = frames(1, 3, *shape)
    with torch.inference_mode():
        expected = torchvision_stages(theirs.features, theirs.patch_embed(clips))
        assert_same(ours(clips), [x.permute(0, 4, 1, 2, 3) for x in expected])


@pytest.mark.parametrize("length", [1, 3, 9])
def test_video_swin_takes_clips_of_any_length(tiny_networks, length):
    network = build_backbone("video_swin_t_p4w7", "random").eval()
    clips = frames(2, length, 3, 50, 70)
    with torch.inference_mode():
        together = network(clips)
        alone = [torch.cat(levels) for levels in zip(*(network(clip[None]) for clip in clips), strict=True)]
    assert [tuple(level.shape[-2:]) for level in together] == [(13, 18), (7, 9), (4, 5), (2, 3)]
    assert all(len(level) == 2 * length for level in together)
    assert_same(together, alone)


def test_video_swin_sees_other_frames_and_swin_does_not(tiny_networks):
    clip = frames(1, 2, 3, 32, 32)
    changed = clip.clone()
    changed[:, 1] = 0
    with torch.inference_mode():
        for name, sees in (("swin_t_p4w7", False), ("video_swin_t_p4w7", True)):
            network = build_backbone(name, "random")
            fill(network.body)
            assert (not torch.allclose(network(clip)[3][0], network(changed)[3][0])) is sees


@pytest.mark.parametrize("name", ["swin_t_p4w7", "resnet50", "timm:resnet18"])
def test_a_batch_is_its_images_one_by_one(tiny_networks, name):
    network = build_backbone(name, "random").eval()
    clips = frames(2, 2, 3, 50, 70)
    with torch.inference_mode():
        together = network(clips)
        alone = [
            torch.cat(levels) for levels in zip(*(network(f[None, None]) for f in clips.flatten(0, 1)), strict=True)
        ]
    assert_same(together, alone, tolerance=1e-4)


@pytest.mark.parametrize("name", ["swin_t_p4w7", "video_swin_t_p4w7", "resnet50", "timm:mobilenetv3_small_100"])
def test_checkpointing_changes_no_gradient(tiny_networks, name):
    gradients = []
    for use_checkpoint in (False, True):
        torch.manual_seed(0)
        network = build_backbone(name, "random", use_checkpoint=use_checkpoint).eval()
        sum(level.square().mean() for level in network(frames(1, 2, 3, 32, 64))).backward()
        gradients.append([p.grad for p in network.parameters() if p.requires_grad])
    assert_same(*gradients)


@pytest.mark.parametrize("dilation", [False, True])
def test_a_resnet_is_trained_as_it_is_used(tiny_networks, monkeypatch, dilation):
    """Norms in the weights change neither levels nor gradients, though the shares are not one."""
    network = fill(build_backbone("resnet50", "random", dilation=dilation))
    for norm in (module for module in network.modules() if isinstance(module, FrozenBatchNorm2d)):
        for name, buffer in norm.named_buffers():
            buffer.copy_(torch.rand_like(buffer) + (0.5 if name in ("weight", "running_var") else -0.5))
    results = []
    for forward in (FrozenBottleneck.forward, Bottleneck.forward):
        monkeypatch.setattr(FrozenBottleneck, "forward", forward)
        network.zero_grad()
        levels = network(frames(1, 2, 3, 50, 70))
        sum(level.square().mean() for level in levels).backward()
        results.append([*levels, *(p.grad for p in network.parameters() if p.requires_grad)])
    assert_same(*results, tolerance=1e-5)


# ---- what trains


def test_frozen_parameters(tiny_networks):
    trained = {key for key, p in build_backbone("resnet50", "random").named_parameters() if p.requires_grad}
    assert {key.split(".")[1] for key in trained} == {"layer2", "layer3", "layer4"}
    for name in ("resnet50", "swin_t_p4w7", "video_swin_t_p4w7", "timm:mobilenetv3_small_100"):
        assert not any(p.requires_grad for p in build_backbone(name, "random", train=False).parameters())
    assert all(p.requires_grad for p in build_backbone("swin_t_p4w7", "random").parameters())
    norms = [
        module for module in build_backbone("resnet50", "random").modules() if isinstance(module, FrozenBatchNorm2d)
    ]
    assert norms
    assert {norm.eps for norm in norms} == {1e-5}


def test_dilation_keeps_the_size_of_the_last_level():
    with torch.device("meta"):
        levels = build_backbone("resnet50", "random", dilation=True)(torch.zeros(1, 1, 3, 64, 96))
    assert [level.shape[-2] for level in levels] == [16, 8, 4, 4]


# ---- files


def test_imagenet_file_of_swin(tiny_networks, tmp_path):
    source = fill(SwinTransformer(TINY))
    weights = {key: value for key, value in source.state_dict().items() if not re.match(r"norm\d\.", key)}
    extra = {"norm.weight": 0, "norm.bias": 0, "head.weight": 0, "head.bias": 0, "layers.0.blocks.1.attn_mask": 0}
    torch.save({"model": weights | {key: torch.zeros(2) for key in extra}}, tmp_path / "swin.pth")
    loaded = build_backbone("swin_t_p4w7", str(tmp_path / "swin.pth")).body.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())
    assert torch.equal(loaded["norm2.weight"], torch.ones(TINY.dims[2]))


def test_kinetics_file_of_video_swin(tiny_networks, tmp_path):
    source = fill(VideoSwinTransformer(TINY)).state_dict()
    names = {key: re.sub(r"^downsamples\.(\d)", r"layers.\1.downsample", key) for key in source}
    weights = {f"backbone.{names[key]}": value for key, value in source.items()}
    patch = weights["backbone.patch_embed.proj.weight"]
    weights["backbone.patch_embed.proj.weight"] = torch.cat([patch, 2 * patch], dim=2)
    weights |= {key: torch.zeros(2) for key in ("backbone.norm.weight", "backbone.norm.bias", "cls_head.fc_cls.weight")}
    torch.save({"meta": {"epoch": 30}, "state_dict": weights}, tmp_path / "video.pth")
    loaded = build_backbone("video_swin_t_p4w7", str(tmp_path / "video.pth")).body.state_dict()
    source["patch_embed.proj.weight"] = 3 * source["patch_embed.proj.weight"]
    assert loaded.keys() == source.keys()
    assert all(torch.allclose(loaded[key], value) for key, value in source.items())


def test_imagenet_file_of_resnet(tiny_networks, tmp_path, monkeypatch):
    weights = fill(ResNet(Bottleneck, [1, 1, 1, 1])).state_dict()
    torch.save(weights, tmp_path / "resnet.pth")
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", lambda *_, **__: weights)
    for pretrained in (str(tmp_path / "resnet.pth"), None):
        loaded = build_backbone("resnet50", pretrained).body.state_dict()
        assert {"fc.weight", "bn1.num_batches_tracked"} <= weights.keys() - loaded.keys()
        assert all(torch.equal(loaded[key], weights[key]) for key in loaded)


@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "pvt_v2_b0", "resnet18"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_file_of_timm(tmp_path, name, suffix):
    whole = fill(timm.create_model(name))
    path = str(tmp_path / f"weights{suffix}")
    (save_file if suffix == ".safetensors" else torch.save)(whole.state_dict(), path)
    loaded = build_backbone(f"timm:{name}", path).eval()
    image = frames(1, 3, 64, 64)
    with torch.inference_mode():
        expected = [
            m for m in whole.forward_intermediates(image, intermediates_only=True) if m.shape[-1] in (16, 8, 4, 2)
        ]
        sizes = {m.shape[-1]: m for m in expected}
        assert_same(loaded(image[None]), [sizes[n] for n in (16, 8, 4, 2)], tolerance=1e-4)


# ---- errors


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet34", {}, r"--backbone resnet34 is unknown: .*resnet50.*timm:NAME"),
        ("swin_b_p4w7", {"pretrained": None}, r"swin_b_p4w7 .*--backbone_pretrained FILE, or `random`"),
        ("swin_t_p4w7", {"dilation": True}, r"--dilation .*swin_t_p4w7"),
        ("timm:resnt18", {}, r"timm:resnt18.*did you mean resnet18"),
        ("timm:resnet18.nonesuch", {}, r"nonesuch"),
        ("timm:vit_tiny_patch16_224", {}, r"strides 16, 16, 16; strides 4, 8, 16, 32 are needed"),
        ("timm:coat_tiny", {}, r"does not take frames of any size"),
        ("timm:hrnet_w18_small", {"use_checkpoint": True}, r"--use_checkpoint does not go with"),
        ("swin_t_p4w7", {"pretrained": "/nowhere/swin.pth"}, r"--backbone_pretrained /nowhere/swin\.pth: No such file"),
    ],
)
def test_what_cannot_be_built(name, options, message):
    with pytest.raises(InputError, match=message) as error:
        build_backbone(name, **{"pretrained": "random"} | options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["resnet50", "swin_t_p4w7", "video_swin_t_p4w7", "timm:resnet18"])
def test_a_file_of_something_else_is_refused(tiny_networks, tmp_path, name):
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"state_dict": {"backbone.other.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    for file in ("text.pth", "other.pth"):
        with pytest.raises(InputError, match=f"--backbone_pretrained .*{file}") as error:
            build_backbone(name, str(tmp_path / file))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_a_file_that_almost_fits_is_refused(tiny_networks, tmp_path, fault):
    weights = SwinTransformer(TINY).state_dict()
    key = "layers.1.blocks.0.attn.qkv.weight"
    if fault == "missing":
        del weights[key]
    elif fault == "unexpected":
        weights[key + "s"] = weights[key]
    else:
        weights[key] = weights[key][:-1]
    torch.save({"model": weights}, tmp_path / "swin.pth")
    with pytest.raises(InputError, match=f"{fault}.*{key}"):
        build_backbone("swin_t_p4w7", str(tmp_path / "swin.pth"))


def test_weights_that_cannot_be_fetched(tiny_networks, monkeypatch):
    def no_network(*_, **__):
        raise OSError("no route to host\nat all")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", no_network)
    for name in ("resnet50", "timm:resnet18"):
        with pytest.raises(InputError, match=rf"weights of {name} .*\(no route to host\).*--backbone_pretrained FILE"):
            build_backbone(name, None)
