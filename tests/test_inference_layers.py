"""The network made ready for inference gives what it gave, as a whole and layer by layer."""

import copy
import platform
import subprocess
import sys

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from models import inference_layers
from models.compiled_parts import compile_parts
from models.composed_mask_head import ComposedMaskHead
from models.deformable_encoder import DeformableEncoderLayer
from models.feature_levels import with_position
from models.folded_norms import FROZEN_NORMS
from models.inference_layers import FEWEST_ROUNDED, speed_up
from models.mask_head import DynamicMaskHead
from models.mlp import MLP
from models.ops.functions import fastest_products, fused_attention, onednn_products, products
from models.ops.functions.onednn_products import TYPES, OrderedLayer
from models.ops.functions.products import PackedLayer
from models.ops.modules import FusedDeformAttn, MSDeformAttn
from models.ops.modules.packed_layers import PackedAttention, PackedConv2d, PackedFeedForward, PackedLinear
from tests.test_network import IDS, assert_same, build, frames
from util.structures import Clips, Tokens

BACKBONES = ("resnet50", "swin_t_p4w7", "timm:tf_efficientnet_lite0", "video_swin_t_p4w7")
needs_compiled = pytest.mark.skipif(not fused_attention.available(), reason="no compiled operator for the CPU")
both_ways = pytest.mark.usefixtures("products_by")


@pytest.fixture(params=["amx", "onednn"])
def products_by(request, monkeypatch):
    """Products of one way, where it works."""
    if not (products.available() if request.param == "amx" else onednn_products.available(1)):
        pytest.skip(f"no products by {request.param} on this machine")
    if request.param == "onednn":
        monkeypatch.setattr(products, "available", lambda: False)


def stir(network, seed=0):
    """Frozen norms that do something, as trained ones do."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, FROZEN_NORMS):
            for buffer in (norm.weight, norm.running_var):
                buffer.uniform_(0.5, 1.0, generator=generator)
            for buffer in (norm.bias, norm.running_mean):
                buffer.uniform_(-0.2, 0.2, generator=generator)
    return network


def count(network, *kinds):
    return sum(isinstance(module, kinds) for module in network.modules())


def packed_layers(network):
    return [layer for module in network.modules() for layer in own_packed_layers(module)]


def own_packed_layers(module):
    return [value for value in vars(module).values() if isinstance(value, PackedLayer | OrderedLayer)]


def channels_of(layer):
    """Out, in."""
    return (layer.shape if isinstance(layer, PackedLayer) else layer.weight.shape)[:2]


def terms_of(layer):
    return layer.terms if isinstance(layer, PackedLayer) else {t: n for n, t in TYPES.items()}[layer.weight.dtype]


# ---- the whole network


@pytest.fixture(params=BACKBONES)
def network(request, text_encoder):
    return stir(build(text_encoder, "--backbone", request.param)[0])


@torch.inference_mode()
def both(network, precision="fp32"):
    """Its outputs after and before. On smaller frames the coarsest level is two pixels: its group norm is noise."""
    clips, references = (Clips.unpadded(frames(1, 2, 128, 192, seed=seed)) for seed in (0, 1))
    inputs = (clips, Tokens.padded(IDS[:1]), references)
    before = network(*inputs)
    speed_up(network, precision)
    return network(*inputs), before


def test_folded_network_gives_the_same(network, monkeypatch):
    monkeypatch.setattr(fastest_products, "available", lambda terms: False)
    monkeypatch.setattr(fused_attention, "available", lambda: False)
    linears = count(network, nn.Linear)
    assert_same(*both(network), tolerance=3e-5)
    assert not count(network, *FROZEN_NORMS)
    assert count(network, nn.Linear) == linears


@needs_compiled
def test_fused_network_gives_the_same(network, monkeypatch):
    monkeypatch.setattr(fastest_products, "available", lambda terms: False)
    attentions = count(network, MSDeformAttn)
    assert_same(*both(network), tolerance=3e-5)
    assert (count(network, MSDeformAttn), count(network, FusedDeformAttn)) == (0, attentions)


@both_ways
def test_packed_network_gives_the_same(network):
    assert_same(*both(network), tolerance=1e-4)
    assert not count(network, *FROZEN_NORMS, nn.MultiheadAttention, MSDeformAttn, DeformableEncoderLayer)
    heads = [layer for head in network.modules() if isinstance(head, MLP) for layer in head.layers]
    left = {layer for layer in network.modules() if isinstance(layer, nn.Linear)} - set(heads)
    assert all(min(layer.weight.shape) < 16 for layer in left)


def errors(ours, theirs):
    """Relative errors (norms) of the last layer's outputs."""
    pairs = ((getattr(ours.last, name), getattr(theirs.last, name)) for name in ("logits", "boxes", "masks"))
    return [((a - b).norm() / b.norm()).item() for a, b in pairs]


@both_ways
def test_packed_network_of_one_term_is_near(network):
    ours, before = both(network, "bf16")
    assert all(1e-5 < error < 0.1 for error in errors(ours, before))
    for module in network.modules():
        narrow = isinstance(module, PackedConv2d) and min(channels_of(module.layer)) < FEWEST_ROUNDED
        assert {terms_of(layer) for layer in own_packed_layers(module)} <= {2 if narrow else 1}


@pytest.mark.parametrize("network", ["resnet50"], indirect=True)
def test_autocast_where_nothing_is_packed(network, monkeypatch):
    monkeypatch.setattr(fastest_products, "available", lambda terms: False)
    ours, before = both(network, "bf16")
    assert all(1e-5 < error < 0.1 for error in errors(ours, before))
    assert all(x.dtype == torch.float32 for x in (ours.last.logits, ours.last.boxes, ours.last.masks))
    assert not packed_layers(network)


@pytest.mark.parametrize("network", ["resnet50"], indirect=True)
def test_compiled_parts_give_the_same(network, monkeypatch):
    """As on a GPU, where nothing is packed; by a backend that needs no compiler."""
    monkeypatch.setattr(fastest_products, "available", lambda terms: False)
    monkeypatch.setattr(fused_attention, "available", lambda: False)
    graphs = []
    monkeypatch.setattr(inference_layers, "keep_freed_memory", lambda: compile_parts(network, count_graphs(graphs)))
    assert_same(*both(network), tolerance=3e-5)
    assert len(graphs) >= 3


def count_graphs(graphs):
    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    return backend


@both_ways
def test_twice_and_copies(text_encoder):
    network = build(text_encoder)[0]
    ours, _ = both(network)
    again, _ = both(copy.deepcopy(network))
    assert all(torch.equal(getattr(ours.last, name), getattr(again.last, name)) for name in ("logits", "masks"))


@both_ways
def test_without_gradients_to_come(text_encoder):
    network = build(text_encoder)[0].train()
    speed_up(network)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


# ---- single layers


def x(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


@both_ways
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("terms", "bound"), [(2, 1e-5), (1, 1e-2)])
@torch.inference_mode()
def test_attention(bias, terms, bound):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(48, 4, bias=bias, batch_first=True).eval()
    padding = torch.zeros(3, 9, dtype=torch.bool)
    padding[1, 5:] = True
    query, key, value = x(3, 70, 48), x(3, 9, 48), x(3, 9, 48) + 1
    ours = PackedAttention(attention, terms)
    for mask in (None, padding):
        theirs, _ = attention(query, key, value, key_padding_mask=mask, need_weights=False)
        assert (ours(query, key, value, key_padding_mask=mask)[0] - theirs).norm() <= bound * theirs.norm()
    with pytest.raises(ValueError, match="weights"):
        ours(query, key, value, need_weights=True)


@both_ways
@pytest.mark.parametrize("words", [3, 16, 17, 32])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_words_of_several_sentences_a_frame(words, bias):
    torch.manual_seed(0)
    attention, norm = nn.MultiheadAttention(64, 2, bias=bias, batch_first=True).eval(), noisy(nn.LayerNorm(64))
    padding = torch.zeros(4, words, dtype=torch.bool)
    padding[1, 2:] = True
    pixels, keys, values, added = x(2, 70, 64), x(4, words, 64), x(4, words, 64) + 1, x(2, 70, 64).flip(0)
    attended, _ = attention(pixels.repeat_interleave(2, 0), keys, values, padding, need_weights=False)
    ours = PackedAttention(attention, 2).words
    assert ours.fits(pixels, keys)
    assert (ours(pixels, keys, values, padding) - attended).norm() <= 1e-5 * attended.norm()
    theirs = norm(added.repeat_interleave(2, 0) + attended)
    assert (ours(pixels, keys, values, padding, added, norm) - theirs).norm() <= 1e-5 * theirs.norm()
    assert not ours.fits(pixels[:, :9], keys), "for few pixels it does not pay"
    assert not ours.fits(pixels, x(4, 33, 64)), "nor for many words"


@both_ways
@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Linear(40, 40), PackedLinear),
        (nn.Linear(40, 4), nn.Linear),
        (nn.Linear(40, 40).double(), nn.Linear),
        (nn.Conv2d(3, 40, 7), PackedConv2d),
        (nn.Conv2d(40, 40, 3, padding=(1, 2), stride=(2, 1), dilation=2), PackedConv2d),
        (nn.Conv2d(40, 40, 3, groups=2), nn.Conv2d),
        (nn.Conv2d(40, 40, 3, padding=1, padding_mode="reflect"), nn.Conv2d),
        (nn.Conv2d(40, 40, 3, padding="same"), nn.Conv2d),
        (Conv2dSame(40, 40, 3, stride=2), Conv2dSame),
        (nn.MultiheadAttention(40, 4, kdim=8, vdim=8, batch_first=True), nn.MultiheadAttention),
        (nn.MultiheadAttention(40, 4), nn.MultiheadAttention),
    ],
)
def test_what_is_packed(layer, kind):
    assert type(inference_layers.packed(layer, 2)) is kind


@both_ways
@pytest.mark.parametrize("conv", [nn.Conv2d(3, 40, (7, 3)), nn.Conv2d(40, 33, 3, padding=(1, 2), stride=(2, 1))])
@torch.no_grad()
def test_convolutions(conv):
    maps = x(2, conv.in_channels, 11, 14)
    torch.testing.assert_close(inference_layers.packed(conv, 2)(maps), conv(maps), rtol=1e-4, atol=1e-4)


def noisy(module):
    """Weights that are not at their start, where offsets do not depend on the query."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval().requires_grad_(False)


def attention_inputs(levels, numbers, width):
    shapes = [(7, 5), (4, 3), (2, 2), (1, 3)][:levels]
    tokens, query = x(2, sum(h * w for h, w in shapes), width), x(2, 19, width)
    reference = x(2, 19, levels, numbers).sigmoid()
    padding = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    return query, reference, tokens, shapes, padding


@needs_compiled
@pytest.mark.parametrize("numbers", [2, 4])
@pytest.mark.parametrize(("levels", "heads", "points"), [(4, 8, 4), (3, 2, 3), (4, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("padded", [False, True])
def test_fused_attention(levels, heads, points, numbers, padded):
    attention = noisy(MSDeformAttn(13 * heads, levels, heads, points))
    inputs = attention_inputs(levels, numbers, 13 * heads)
    inputs[-1][0, 5:] = padded
    theirs = attention(*inputs)
    assert (FusedDeformAttn(attention)(*inputs) - theirs).norm() <= 1e-6 * theirs.norm()


@needs_compiled
@pytest.mark.parametrize("numbers", [2, 4])
@pytest.mark.parametrize("width", [13, 16])
def test_few_queries_are_sampled_before_they_are_projected(numbers, width):
    attention = noisy(MSDeformAttn(4 * width, 2, 4, 4))
    shapes = [(18, 20), (9, 10)]
    tokens, query, reference = x(2, 450, 4 * width), x(2, 5, 4 * width), x(2, 5, 2, numbers).sigmoid()
    padding = torch.zeros(2, 450, dtype=torch.bool)
    ours, projected = FusedDeformAttn(attention), []
    ours.value_proj.register_forward_hook(lambda *_: projected.append(1))
    for asked, wanted in ((query, 0), (x(2, 9, 4 * width), 1)):
        inputs = (asked, reference.repeat(1, 2, 1, 1)[:, : asked.shape[1]], tokens, shapes, padding)
        theirs, _ = attention(*inputs), projected.clear()
        assert (ours(*inputs) - theirs).norm() <= 1e-6 * theirs.norm()
        assert len(projected) == wanted


@both_ways
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("queries", "images", "rel_coord"), [(1, 3, True), (5, 1, False)])
@torch.inference_mode()
def test_mask_head_with_the_convolution_before_it(packed, queries, images, rel_coord):
    head, convolution = DynamicMaskHead(24, 8, rel_coord), noisy(nn.Conv2d(40, 24, 3, padding=1))
    features, points = x(images, 40, 9, 13), x(images, queries, 2).sigmoid() * 40
    parameters = x(images, queries, head.num_parameters)
    theirs = head(convolution(features), parameters, points)
    ours = ComposedMaskHead(head, convolution, 2 if packed else None)(features, parameters, points)
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@both_ways
@pytest.mark.parametrize("width", [32, 72])
def test_encoder_layer(width):
    layer = noisy(DeformableEncoderLayer(width, MSDeformAttn(width, 3, 4, 2), 600, 0.0))
    _, _, tokens, shapes, padding = attention_inputs(3, 2, width)
    reference = x(*tokens.shape[:2], 3, 2).sigmoid()
    inputs = (tokens, tokens.flip(0), reference, shapes, padding)
    theirs = layer(*inputs)
    inference_layers.fuse_attentions(layer)
    ours = inference_layers.packed(layer, 2)(*inputs)
    assert (ours - theirs).norm() <= 3e-5 * theirs.norm()


@both_ways
@pytest.mark.parametrize("width", [16, 40, 257])
def test_feedforward_with_norm(width):
    layers = first, second, norm = [
        noisy(m) for m in (nn.Linear(width, 600), nn.Linear(600, width), nn.LayerNorm(width))
    ]
    tokens = 9 + x(3, 67, width)
    exact = [copy.deepcopy(layer).double() for layer in layers]
    theirs = exact[2](tokens.double() + exact[1](exact[0](tokens.double()).relu()))
    assert (PackedFeedForward(first, second, norm, 2)(tokens) - theirs).norm() <= 3e-5 * theirs.norm()
    assert PackedFeedForward(first, second, norm, 2)(tokens[:0]).shape == (0, 67, width)


@pytest.mark.parametrize("padded", [0, 3])
def test_positions_are_those_of_training(padded):
    padding = torch.zeros(2, 32, 48, dtype=torch.bool)
    padding[1, :, 48 - padded :] = True
    trained = with_position(x(2, 8, 16, 24), padding, 8)
    with torch.inference_mode():
        torch.testing.assert_close(with_position(x(2, 8, 16, 24), padding, 8).position, trained.position)
    assert torch.equal(trained.position[0], trained.position[1]) == (padded == 0)


USE_MEMORY_AGAIN = """
import resource, torch
from util.memory import keep_freed_memory
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
keep_freed_memory()
print(faults(50_000_000), faults(40_000_000))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the wish is one to glibc")
def test_freed_memory_is_used_again():
    done = subprocess.run([sys.executable, "-c", USE_MEMORY_AGAIN], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert second < first / 10
