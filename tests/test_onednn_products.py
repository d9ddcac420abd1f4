"""Products by oneDNN against float64, for any sizes, by the bounds of those on AMX."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from models.ops.functions.onednn_products import ROWS, available, convolve, ordered, product
from tests.test_products import assert_near, exact, kernels, layer, pairs, random, sizes

pytestmark = pytest.mark.skipif(not available(), reason="no oneDNN, or no x86")
# Results are rounded too, and those between two layers.
BOUNDS = {2: 2**-20, 1: 4 * 2**-8}
numbers_of_terms = pytest.mark.parametrize(
    "terms", [2, pytest.param(1, marks=pytest.mark.skipif(not available(1), reason="no bfloat16 in the processor"))]
)


@numbers_of_terms
@settings(max_examples=40, deadline=None)
@given(
    images=st.integers(1, 3),
    size=sizes,
    weight=st.tuples(st.integers(1, 70), st.integers(1, 70), *kernels),
    stride=pairs,
    then=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_convolution(terms, images, size, weight, stride, then):
    """`weight` is the shape [O, C, kh, kw]; `then`: with a bias, something added, and a ReLU."""
    # Of narrow maps with a stride, oneDNN's bfloat16 convolution by AMX returns stray numbers. (Where there is AMX,
    # products.py comes first.)
    assume(terms == 2 or size[1] >= 8)
    bias, add, relu = then
    x, weights = random(images, weight[1], *size), layer(*weight, bias=bias)
    steps = {"stride": stride, "padding": (weight[2] // 2 + 1, weight[3] // 2 + 1)}
    shape = F.conv2d(x, *weights, **steps).shape
    last = {"added": random(*shape, seed=3) if add else None, "relu": relu}
    ours = convolve(x, ordered(*weights, terms=terms), **steps, **last)
    assert_near(ours, x, *weights, **steps, **last, bound=BOUNDS[terms])


@numbers_of_terms
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 200),
    channels=st.tuples(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200)),
    add=st.booleans(),
    two=st.booleans(),
)
@example(ROWS + 1, (33, 70, 33), True, True)
@example(2 * ROWS, (5, 70, 33), True, False)
def test_linear(terms, rows, channels, add, two):
    first, middle, last = channels
    x, weights, then = random(rows, first), layer(middle, first), layer(last, middle, bias=False) if two else None
    added = random(rows, last if two else middle, seed=3) if add else None
    second = ordered(*then, terms=terms) if two else None
    ours = product(x, ordered(*weights, terms=terms), then=second, added=added)
    assert_near(ours, x, *weights, then=then, added=added, bound=BOUNDS[terms])


@torch.no_grad()
def test_norm_comes_last_and_nothing_given_is_changed():
    norm, x, weights = nn.LayerNorm(24), random(3, ROWS, 24).transpose(0, 1), layer(24, 24)
    added = x.clone()
    ours = product(x, ordered(*weights), added=added, relu=True, norm=norm)
    torch.testing.assert_close(ours, norm(exact(x, *weights, added=x, relu=True).float()), rtol=1e-4, atol=1e-5)
    assert torch.equal(added, x)
