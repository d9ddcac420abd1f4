"""The operator against a plain loop in float64, its gradients and its types."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ops.functions import ms_deform_attn
from models.ops.modules import MSDeformAttn


def inputs(n=1, *, shapes=((4, 5), (2, 3)), queries=3, heads=2, width=4, points=2, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = sum(h * w for h, w in shapes)
    value = torch.randn(n, tokens, heads, width, generator=generator, dtype=torch.float64)
    # Beyond [0, 1] on purpose: what lies outside the map counts as zero.
    locations = torch.rand(n, queries, heads, len(shapes), points, 2, generator=generator, dtype=torch.float64)
    locations = locations * 1.6 - 0.3
    weights = torch.rand(n, queries, heads, len(shapes), points, generator=generator, dtype=torch.float64)
    return value.to(dtype), list(shapes), locations.to(dtype), weights.to(dtype)


def pixel(feature_map, y, x):
    height, width = feature_map.shape[:2]
    inside = 0 <= y < height and 0 <= x < width
    return feature_map[y, x] if inside else torch.zeros_like(feature_map[0, 0])


def by_hand(value, shapes, locations, weights):
    """One sample at a time, as the definition reads."""
    batch, _, heads, width = value.shape
    queries, levels, points = locations.shape[1], len(shapes), locations.shape[4]
    out = torch.zeros(batch, queries, heads, width, dtype=value.dtype)
    maps = value.split([h * w for h, w in shapes], dim=1)
    for n, q, m, level, p in torch.cartesian_prod(*map(torch.arange, (batch, queries, heads, levels, points))).tolist():
        height, wide = shapes[level]
        feature_map = maps[level][n, :, m].view(height, wide, width)
        x = locations[n, q, m, level, p, 0] * wide - 0.5
        y = locations[n, q, m, level, p, 1] * height - 0.5
        x0, y0 = int(torch.floor(x)), int(torch.floor(y))
        for yy in (y0, y0 + 1):
            for xx in (x0, x0 + 1):
                share = (1 - (x - xx).abs()) * (1 - (y - yy).abs())
                out[n, q, m] += weights[n, q, m, level, p] * share * pixel(feature_map, yy, xx)
    return out.flatten(2)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 2),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(0, 99),
)
def test_equals_the_definition(batch, shapes, seed):
    args = inputs(batch, shapes=tuple(shapes), seed=seed)
    torch.testing.assert_close(ms_deform_attn(*args), by_hand(*args), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("width", [1, 30, 71])
def test_gradients(width):
    value, shapes, locations, weights = inputs(shapes=((3, 4), (2, 2)), queries=2, width=width)
    tensors = tuple(t.requires_grad_() for t in (value, locations, weights))
    assert torch.autograd.gradcheck(lambda v, l, w: ms_deform_attn(v, shapes, l, w), tensors)


def test_half_precision_is_summed_in_float32():
    exact = inputs(queries=50, width=8)
    value, shapes, locations, weights = exact
    rounded = ms_deform_attn(value.bfloat16(), shapes, locations.float(), weights.float())
    assert rounded.dtype == torch.bfloat16
    wanted = ms_deform_attn(value.bfloat16().double(), shapes, locations.float().double(), weights.float().double())
    torch.testing.assert_close(rounded.double(), wanted, rtol=2**-8, atol=1e-6)


def test_shapes_may_be_a_tensor():
    value, shapes, locations, weights = inputs()
    torch.testing.assert_close(
        ms_deform_attn(value, torch.tensor(shapes), locations, weights),
        ms_deform_attn(value, shapes, locations, weights),
    )


def test_wrong_shapes_are_refused():
    value, shapes, locations, weights = inputs()
    with pytest.raises(ValueError, match="tokens"):
        ms_deform_attn(value[:, 1:], shapes, locations, weights)
    with pytest.raises(ValueError, match="do not fit"):
        ms_deform_attn(value, shapes, locations, weights[..., :1])


def test_offsets_start_as_rays():
    module = MSDeformAttn(32, levels=2, heads=8, points=3)
    rays = module.sampling_offsets.bias.detach().view(8, 2, 3, 2)
    for head in range(8):
        for point in range(3):
            assert rays[head, 0, point].abs().max() == pytest.approx(point + 1)
    torch.testing.assert_close(rays[0, 1, 0], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(rays[2, 1, 1], torch.tensor([0.0, 2.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(rays[5, 0, 0], torch.tensor([-1.0, -1.0]))
