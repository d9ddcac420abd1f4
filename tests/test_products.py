"""Products on AMX against float64, for any sizes; what they refuse, and where they are not used."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.ops import build_operator
from models.ops.functions import back_ends, products
from models.ops.functions.products import PackedLayer, convolve, packed, product

needs_products = pytest.mark.skipif(not products.available(), reason="no compiled products: no library, or no AMX")
# Both parts of a number leave out 2⁻¹⁶ of it, and the product of the low parts is 2⁻¹⁶ of the whole; sums round too.
# With one term, either number leaves out 2⁻⁸ of it.
BOUNDS = {2: 3.1 * 2**-16, 1: 2.1 * 2**-8}
numbers_of_terms = pytest.mark.parametrize("terms", BOUNDS)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer(outputs, channels, *kernel, bias=True):
    """Weights, and a bias or none."""
    weight = random(outputs, channels, *kernel, seed=1) / (channels * torch.Size(kernel).numel()) ** 0.5
    return weight, random(outputs, seed=2) if bias else None


def exact(x, weight, bias, then=None, added=None, relu=False, absolute=False, **steps):
    """The same in float64; `absolute`: with the size of each number, which an error is measured against."""

    def double(tensor):
        return tensor if tensor is None else tensor.double().abs() if absolute else tensor.double()

    run = F.linear if weight.dim() == 2 else F.conv2d
    result = run(double(x), double(weight), double(bias), **steps)
    if then is not None:
        result = run(result.relu(), *map(double, then))
    result = result if added is None else result + double(added)
    return result.relu() if relu else result


def assert_near(ours, *args, bound=BOUNDS[2], **kwargs):
    wanted = exact(*args, **kwargs)
    assert ours.dtype == torch.float32
    assert ours.shape == wanted.shape
    assert ((ours - wanted).abs() <= bound * exact(*args, **kwargs, absolute=True)).all()


# ---- numbers

sizes = st.tuples(st.integers(1, 9), st.integers(1, 40))
kernels = (st.integers(1, 3), st.integers(1, 4))
pairs = st.tuples(*kernels)


@needs_products
@numbers_of_terms
@settings(max_examples=80, deadline=None)
@given(
    images=st.integers(1, 3),
    size=sizes,
    weight=st.tuples(st.integers(1, 70), st.integers(1, 70), *kernels),
    steps=st.fixed_dictionaries(
        {"stride": pairs, "padding": st.tuples(st.integers(0, 3), st.integers(0, 5)), "dilation": pairs}
    ),
    then=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@example(1, (60, 70), (64, 3, 7, 7), {"stride": (2, 2), "padding": (3, 3)}, (False, False, True))
@example(1, (1, 1500), (5, 2, 1, 5), {"stride": (1, 3), "padding": (0, 2), "dilation": (1, 2)}, (True, True, True))
@example(1, (60, 170), (64, 8, 1, 1), {}, (True, True, True))  # too large an output for the cache
@example(1, (60, 170), (67, 8, 1, 1), {}, (True, False, True))  # of which lines are shared by pixels
@example(1, (20, 40), (130, 300, 3, 3), {"padding": (1, 1)}, (True, False, False))  # and too large weights
def test_convolution(terms, images, size, weight, steps, then):
    """`weight` is the shape [O, C, kh, kw]; `then`: with a bias, something added, and a ReLU."""
    bias, add, relu = then
    x, weights = random(images, weight[1], *size), layer(*weight, bias=bias)
    try:
        shape = F.conv2d(x, *weights, **steps).shape
    except RuntimeError:  # the kernel is larger than the map
        with pytest.raises(ValueError, match="does not fit"):
            convolve(x, packed(*weights, terms=terms), **steps)
        return
    last = {"added": random(*shape, seed=3) if add else None, "relu": relu}
    ours = convolve(x, packed(*weights, terms=terms), **steps, **last)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert_near(ours, x, *weights, **steps, **last, bound=BOUNDS[terms])


@needs_products
@numbers_of_terms
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 700),
    channels=st.integers(1, 300),
    outputs=st.integers(1, 300),
    bias=st.booleans(),
    add=st.booleans(),
    relu=st.booleans(),
)
def test_linear(terms, rows, channels, outputs, bias, add, relu):
    x, weights = random(rows, channels), layer(outputs, channels, bias=bias)
    last = {"added": random(rows, outputs, seed=3) if add else None, "relu": relu}
    ours = product(x, packed(*weights, terms=terms), **last)
    assert_near(ours, x, *weights, **last, bound=BOUNDS[terms])


@needs_products
@numbers_of_terms
@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 300),
    channels=st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70)),
    bias=st.booleans(),
    add=st.booleans(),
)
@example(360, (33, 700, 40), True, True)  # the middle in parts
@example(33, (5, 513, 33), False, False)
@example(700, (5, 1024, 33), True, False)
def test_two_in_a_row(terms, rows, channels, bias, add):
    first, middle, last = channels
    x, weights, then = random(rows, first), layer(middle, first, bias=bias), layer(last, middle, bias=not bias)
    last = {"added": random(rows, last, seed=3) if add else None, "relu": add}
    ours = product(x, packed(*weights, terms=terms), then=packed(*then, terms=terms), **last)
    assert_near(ours, x, *weights, then, **last, bound=2.1 * BOUNDS[terms])


@needs_products
@numbers_of_terms
@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize(("rows", "groups"), [(1, 1), (70, 3), (300, 20)])
def test_softmax_between(terms, width, rows, groups):
    x, first, then = random(rows, 40), layer(groups * width, 40), layer(35, groups * width)
    first[1][3] = -torch.inf  # a word that is none
    ours = product(x, packed(*first, terms=terms), then=packed(*then, terms=terms), softmax=width)
    shares = F.linear(x.double(), *map(torch.Tensor.double, first)).unflatten(1, (groups, width)).softmax(2)
    wanted = F.linear(shares.flatten(1), *map(torch.Tensor.double, then))
    assert (ours - wanted).norm() <= {2: 1e-5, 1: 1e-2}[terms] * wanted.norm()
    for wrong in (8, 48):
        with pytest.raises(ValueError, match="no softmax"):
            product(x, packed(*first, terms=terms), then=packed(*then, terms=terms), softmax=wrong)


@needs_products
def test_gelu_between():
    x, first, then = random(500, 40) * 3, layer(130, 40), layer(35, 130)
    wanted = F.linear(F.gelu(F.linear(x.double(), *map(torch.Tensor.double, first))), *map(torch.Tensor.double, then))
    ours = product(x, packed(*first), then=packed(*then), gelu=True)
    assert (ours - wanted).norm() <= 1e-5 * wanted.norm()
    with pytest.raises(ValueError, match="nothing between"):
        product(x, packed(*first), gelu=True)


@needs_products
def test_results_go_into_memory_that_is_there():
    x, weights, rows = random(40, 50), packed(*layer(60, 50)), torch.zeros(3, 40, 60)
    assert product(x, weights, into=rows[1]).data_ptr() == rows[1].data_ptr()
    assert torch.equal(rows[1], product(x, weights))
    assert not rows[0].any() | rows[2].any()
    with pytest.raises(ValueError, match="does not fit memory"):
        product(x, weights, into=rows[0].T)


@needs_products
@pytest.mark.parametrize(("terms", "least", "most"), [(2, 1e-6, 4e-6), (1, 1e-3, 4e-3)])
def test_error_is_what_it_is_said_to_be(terms, least, most):
    x, weights = random(400, 300), layer(200, 300)
    wanted = exact(x, *weights)
    error = (product(x, packed(*weights, terms=terms)) - wanted).norm() / wanted.norm()
    assert least <= error <= most


@needs_products
def test_one_term_is_the_product_of_rounded_numbers():
    x, (weight, bias) = random(400, 300), layer(200, 300)
    rounded = (x.bfloat16().float(), weight.bfloat16().float(), bias)
    assert_near(product(x, packed(weight, bias, terms=1)), *rounded, bound=1e-6)
    assert packed(weight, terms=1).weights.nbytes == packed(weight).weights.nbytes / 2


@needs_products
@numbers_of_terms
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_any_scale(scale, terms):
    x, weights = random(40, 50) * scale, layer(60, 50, bias=False)
    assert_near(product(x, packed(*weights, terms=terms)), x, *weights, bound=BOUNDS[terms])


@needs_products
@numbers_of_terms
@pytest.mark.parametrize("rows", [3, 100, 1000])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_same_bytes_for_any_number_of_threads(rows, threads, terms):
    shapes = ((600, 90), (300, 600), (70, 40, 3, 3))
    first, second, third = (packed(*layer(*shape), terms=terms) for shape in shapes)
    x, maps = random(rows, 90), random(2, 40, 9, rows // 9 + 3)
    before = torch.get_num_threads()
    results = []
    try:
        for number in (4, threads):
            torch.set_num_threads(number)
            results.append((product(x, first), product(x, first, then=second), convolve(maps, third, stride=(2, 1))))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@needs_products
def test_a_row_does_not_depend_on_the_others():
    x, first, second = random(333, 90), packed(*layer(600, 90)), packed(*layer(30, 600))
    assert torch.equal(product(x, first, then=second)[70:75], product(x[70:75], first, then=second))


@needs_products
@numbers_of_terms
@pytest.mark.parametrize("relu", [False, True])
def test_nan_stays_and_does_not_spread(relu, terms):
    x, first, second = random(50, 40), packed(*layer(33, 40), terms=terms), packed(*layer(35, 33), terms=terms)
    x[7, 39] = float("nan")
    for result in (product(x, first, relu=relu), product(x, first, then=second, relu=relu)):
        assert result[7].isnan().all()
        assert result[torch.arange(50) != 7].isfinite().all()


@needs_products
def test_infinity_is_never_a_number():
    x = random(5, 40)
    x[2, 3] = float("inf")
    result = product(x, packed(*layer(33, 40)))
    assert not result[2].isfinite().any()
    assert result[[0, 1, 3, 4]].isfinite().all()


@needs_products
def test_any_strides_and_addresses():
    maps, (weight, bias) = random(2, 9, 11, 30), layer(35, 9, 3, 3)
    wanted = convolve(maps, packed(weight, bias))
    turned = weight.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(convolve(maps.contiguous(memory_format=torch.channels_last), packed(turned, bias)), wanted)
    assert torch.equal(convolve(maps.transpose(1, 3).contiguous().transpose(1, 3), packed(weight, bias)), wanted)
    numbers, linear = random(2 * 100 * 33 + 1, seed=4)[1:], layer(33, 33)
    x, added = numbers[:3300].view(100, 33), numbers[3300:].view(100, 33)
    assert x.data_ptr() % 16
    assert_near(product(x, packed(*linear), added=added), x, *linear, added=added)


@needs_products
def test_empty_inputs():
    linear, conv = packed(*layer(35, 9)), packed(*layer(35, 9, 3, 3))
    assert product(torch.empty(2, 0, 9), linear).shape == (2, 0, 35)
    assert convolve(torch.empty(0, 9, 5, 6), conv).shape == (0, 35, 3, 4)


# ---- what is refused


@needs_products
def test_shapes_that_do_not_fit():
    linear, conv = packed(*layer(35, 9)), packed(*layer(35, 9, 3, 3))
    for x, wrong in ((torch.ones(2, 8), linear), (torch.ones(2, 9), conv)):
        with pytest.raises(ValueError, match="channels do not fit weights"):
            product(x, wrong)
    with pytest.raises(ValueError, match="does not fit weights"):
        convolve(torch.ones(1, 9, 2, 5), conv)
    with pytest.raises(ValueError, match="does not fit the result"):
        product(torch.ones(2, 9), linear, added=torch.ones(35))
    with pytest.raises(ValueError, match="35 channels do not fit weights"):
        product(torch.ones(2, 9), linear, then=linear)
    with pytest.raises(ValueError, match="same number of terms"):
        product(torch.ones(2, 9), linear, then=packed(*layer(9, 35), terms=1))
    with pytest.raises(ValueError, match="3 terms"):
        packed(torch.ones(5, 9), terms=3)
    for wrong in ((torch.ones(0, 9),), (torch.ones(5, 9), torch.ones(4))):
        with pytest.raises(ValueError, match="empty, or do not fit"):
            packed(*wrong)


@needs_products
def test_gradients_and_other_types_are_refused():
    weight, bias = layer(35, 9)
    linear, x = packed(weight.requires_grad_(), bias), torch.ones(2, 9, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradients"):
        product(x, linear)
    with pytest.raises(RuntimeError, match="no gradients"):
        product(x.detach(), linear, added=torch.ones(2, 35, requires_grad=True))
    with torch.no_grad():
        assert product(x, linear).isfinite().all()
    with pytest.raises(TypeError, match=r"float32 on the CPU, not of torch\.bfloat16"):
        product(x.detach().bfloat16(), linear)
    with pytest.raises(TypeError, match=r"not of torch\.float64"):
        packed(torch.ones(2, 3, dtype=torch.float64))


# ---- where they are not used


@pytest.fixture
def fresh(monkeypatch):
    """Nothing chosen yet."""
    caches = (back_ends.compiled, products._library, products.available)
    for function in caches:
        function.cache_clear()
    yield monkeypatch
    for function in caches:
        function.cache_clear()


def test_plain_can_be_forced(fresh):
    fresh.setenv("TF2_OPS", "plain")
    assert not products.available()
    with pytest.raises(RuntimeError, match="not available"):
        packed(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="not available"):
        product(torch.ones(2, 3), PackedLayer(torch.empty(0), (2, 3, 1, 1), None, 2))


def test_without_a_library(fresh):
    fresh.delenv("TF2_OPS", raising=False)
    fresh.setattr(back_ends, "library_file", lambda device: None)
    assert not products.available()


@needs_products
@pytest.mark.parametrize("wrong", BOUNDS)
def test_wrong_results_are_noticed(fresh, capsys, wrong):
    fresh.delenv("TF2_OPS", raising=False)
    fresh.setattr(products, "packed", lambda weight, terms: packed(weight * (1 + (terms == wrong)), terms=terms))
    assert not products.available()
    assert "differ from plain PyTorch by 1.0e+00" in capsys.readouterr().err


def test_a_compiler_without_amx_builds_the_rest(tmp_path, monkeypatch):
    compiler = tmp_path / "c++"
    compiler.write_text(
        "#!/bin/sh\n"
        'case "$*" in *TF2_NO_AMX*) ;; *) echo "Error: no such instruction: tilezero" >&2; exit 1 ;; esac\n'
        'for last; do :; done; echo "$*" > "$last"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    how = build_operator._build_cpu(tmp_path)
    assert how == f"built with {compiler}, without AMX ({compiler}: Error: no such instruction: tilezero)"
    assert "-fopenmp" in (tmp_path / build_operator.library_name("cpu")).read_text()
