"""The compiled operator: its build, the choice of back ends, and what PyTorch must know of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ops import build_operator
from models.ops.functions import back_ends, fused_attention, ms_deform_attn
from models.ops.functions.ms_deform_attn import _backward, _forward
from models.ops.functions.ms_deform_attn_plain import ms_deform_attn as plain
from util.errors import InputError

ROOT = Path(__file__).parents[1]
CPU = back_ends.compiled("cpu")
needs_compiled = pytest.mark.skipif(CPU is None, reason="no compiled operator: pip install . builds it")


def inputs(batch=2, shapes=((5, 4), (2, 3)), queries=5, channels=7, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = sum(h * w for h, w in shapes)
    value = torch.randn(batch, tokens, 3, channels, generator=generator, dtype=torch.float64)
    locations = torch.rand(batch, queries, 3, len(shapes), 2, 2, generator=generator, dtype=torch.float64) * 1.6 - 0.3
    weights = torch.rand(batch, queries, 3, len(shapes), 2, generator=generator, dtype=torch.float64)
    return [tensor.to(dtype) for tensor in (value, locations, weights)]


def output_and_gradients(function, shapes, tensors):
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    output = function(leaves[0], shapes, *leaves[1:])
    upstream = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output).to(output.dtype)
    return [output.detach(), *torch.autograd.grad(output, leaves, upstream)]


def assert_near(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        assert (a.double() - b.double()).norm() <= tolerance * max(b.double().norm(), 1e-3)


@pytest.fixture(params=["generic", "avx2", "avx512"])
def kernels(request):
    if CPU is None or not CPU.choose_kernels(request.param):
        pytest.skip(f"this machine has no {request.param} kernels")
    yield request.param
    CPU.choose_kernels(best)


best = CPU.kernels() if CPU else ""


# ---- numbers


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)]
)
@pytest.mark.parametrize("channels", [1, 12, 32, 71])
def test_kernels_equal_float64(kernels, dtype, tolerance, channels):
    shapes = ((5, 4), (2, 3))
    tensors = inputs(shapes=shapes, queries=21, channels=channels, dtype=dtype)
    exact = [tensor.double() for tensor in tensors]
    ours = output_and_gradients(ms_deform_attn, shapes, tensors)
    assert all(tensor.dtype == dtype for tensor in ours)
    assert_near(ours, output_and_gradients(plain, shapes, exact), tolerance)


@pytest.mark.parametrize("channels", [1, 12, 32, 71])
def test_bfloat16_is_rounded_once(kernels, channels):
    shapes = ((5, 4), (2, 3))
    tensors = inputs(shapes=shapes, queries=21, channels=channels, dtype=torch.bfloat16)
    tensors[0][0, 3] = float("nan")
    tensors[0][1, 3] = float("inf")
    exact = ms_deform_attn(tensors[0].float(), shapes, *(tensor.float() for tensor in tensors[1:]))
    assert exact.isnan().any() and exact.isinf().any() and exact.isfinite().any()
    ours = ms_deform_attn(tensors[0], shapes, *tensors[1:])
    torch.testing.assert_close(ours, exact.bfloat16(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [31, 33, 64])
def test_tensors_may_begin_at_any_element(kernels, dtype, channels):
    shapes = ((2, 3),) * 8  # 16 samples a query: whole vectors of each kind
    tensors = inputs(shapes=shapes, channels=channels, dtype=dtype)
    shifted = [torch.cat((tensor.new_zeros(1), tensor.flatten()))[1:].view_as(tensor) for tensor in tensors]
    assert all(tensor.is_contiguous() and tensor.data_ptr() % 16 for tensor in shifted)
    ours = output_and_gradients(ms_deform_attn, shapes, shifted)
    assert_near(ours, output_and_gradients(ms_deform_attn, shapes, tensors), 0)


@needs_compiled
@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    shapes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4),
    queries=st.integers(1, 20),
    channels=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_any_sizes(batch, shapes, queries, channels, seed):
    tensors = inputs(batch, tuple(shapes), queries, channels, torch.float64, seed)
    ours = output_and_gradients(ms_deform_attn, shapes, tensors)
    assert_near(ours, output_and_gradients(plain, shapes, tensors), 1e-12)


@needs_compiled
@pytest.mark.parametrize("sizes", [{"batch": 0}, {"queries": 0}, {"channels": 0}])
def test_nothing_to_sample_gives_zeros(sizes):
    tensors = inputs(**sizes)
    output, *gradients = output_and_gradients(ms_deform_attn, ((5, 4), (2, 3)), tensors)
    assert output.shape == (tensors[0].shape[0], tensors[1].shape[1], 3 * tensors[0].shape[3])
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e30, 1e30])
def test_wild_locations_read_nothing_outside(kernels, number):
    value, locations, weights = inputs()
    locations[0, 0, 0, 0, 0, 0] = number
    shapes = ((5, 4), (2, 3))
    ours = ms_deform_attn(value, shapes, locations, weights)
    torch.testing.assert_close(ours, plain(value, shapes, locations, weights), equal_nan=True)
    output_and_gradients(ms_deform_attn, shapes, (value, locations, weights))


@needs_compiled
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_same_bytes_for_any_number_of_threads(threads):
    tensors = inputs(1, queries=33)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        four = output_and_gradients(ms_deform_attn, ((5, 4), (2, 3)), tensors)
        torch.set_num_threads(threads)
        others = output_and_gradients(ms_deform_attn, ((5, 4), (2, 3)), tensors)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(four, others, strict=True))


@needs_compiled
def test_mixed_types_and_strides():
    shapes = ((5, 4), (2, 3))
    value, locations, weights = inputs()
    wanted = plain(value.bfloat16(), shapes, locations, weights)
    mixed = ms_deform_attn(value.bfloat16(), shapes, locations, weights.bfloat16())
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed, wanted, rtol=3e-2, atol=3e-2)
    strided = [tensor.transpose(0, 1).contiguous().transpose(0, 1) for tensor in (value, locations, weights)]
    assert not strided[0].is_contiguous()
    assert torch.equal(
        ms_deform_attn(strided[0], shapes, *strided[1:]), ms_deform_attn(value, shapes, locations, weights)
    )
    half = ms_deform_attn(value.half(), shapes, locations, weights)
    torch.testing.assert_close(half, plain(value.half(), shapes, locations, weights))


# ---- raw offsets and logits


def raw_inputs(shapes=((5, 4), (2, 3)), queries=21, channels=7, numbers=2, points=2):
    """Value, reference points and what `attend` reads, with rubbish where nothing is read."""
    generator = torch.Generator().manual_seed(0)
    levels, tokens = len(shapes), sum(h * w for h, w in shapes)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    raw = draw(2, queries, 3, 3, fused_attention.filled(levels * points)) * 3
    raw[..., levels * points :] = 1e9
    return draw(2, tokens, 3, channels), torch.rand(2, queries, levels, numbers, generator=generator), raw


def plainly(value, shapes, reference, raw, points):
    """Locations and weights in float64, from the definition."""
    samples = len(shapes) * points
    x, y, logits = raw[..., :samples].double().unflatten(-1, (len(shapes), points)).unbind(3)
    sizes = torch.tensor([(w, h) for h, w in shapes], dtype=torch.float64)[:, None]
    if reference.shape[-1] == 4:
        sizes = 2 * points / reference.double()[:, :, None, :, None, 2:]
    locations = reference.double()[:, :, None, :, None, :2] + torch.stack((x, y), dim=-1) / sizes
    weights = logits.flatten(3).softmax(-1).view_as(logits)
    return plain(value.double(), shapes, locations, weights)


@pytest.mark.parametrize("numbers", [2, 4])
@pytest.mark.parametrize("points", [1, 2, 5, 8])
@pytest.mark.parametrize("shapes", [((5, 4), (2, 3)), ((3, 7),), ((5, 4), (2, 3), (1, 1), (4, 1), (1, 6))])
def test_raw_kernels_equal_float64(kernels, shapes, points, numbers):
    value, *others = raw_inputs(shapes, numbers=numbers, points=points)
    ours = fused_attention.attend(value, shapes, *others, points)
    assert_near([ours], [plainly(value, shapes, *others, points)], 1e-6)


def test_wild_logits(kernels):
    shapes = ((5, 4), (2, 3))
    value, reference, raw = raw_inputs()
    raw[0, :, :, 2] = -1e6 * raw[0, :, :, 2].abs()
    raw[1, 0, 0, 2, 0] = -float("inf")
    raw[1, 1, 1, 2, 1] = float("nan")
    raw[1, 2, 2, 0, 1] = float("inf")
    ours = fused_attention.attend(value, shapes, reference, raw, 2)
    theirs = plainly(value, shapes, reference, raw, 2).float()
    torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=1e-5, atol=1e-5)


@needs_compiled
@pytest.mark.parametrize("threads", [1, 2, 5, 16])
def test_raw_results_are_the_same_for_any_number_of_threads(threads):
    inputs = raw_inputs(queries=33)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        three = fused_attention.attend(inputs[0], ((5, 4), (2, 3)), *inputs[1:], 2)
        torch.set_num_threads(threads)
        others = fused_attention.attend(inputs[0], ((5, 4), (2, 3)), *inputs[1:], 2)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(three, others)


@needs_compiled
def test_raw_refusals():
    shapes = ((5, 4), (2, 3))
    value, reference, raw = raw_inputs()
    with pytest.raises(ValueError, match="do not fit levels"):
        fused_attention.attend(value, shapes, reference, raw, 9)
    with pytest.raises(ValueError, match="do not fit levels"):
        fused_attention.attend(value[:, 1:], shapes, reference, raw, 2)
    with pytest.raises(TypeError, match="float32"):
        fused_attention.attend(value.double(), shapes, reference, raw, 2)
    with pytest.raises(RuntimeError, match="no gradients"):
        fused_attention.attend(value.requires_grad_(), shapes, reference, raw, 2)
    nothing = fused_attention.attend(value.detach()[..., :0], shapes, reference, raw, 2)
    assert nothing.shape == (2, 21, 0)


# ---- what PyTorch must know


@needs_compiled
def test_opcheck():
    value, locations, weights = inputs()
    leaves = [tensor.requires_grad_() for tensor in inputs()]
    torch.library.opcheck(_forward, (leaves[0], [5, 4, 2, 3], *leaves[1:]))
    torch.library.opcheck(_backward, (torch.ones(2, 5, 21), value, [5, 4, 2, 3], locations, weights))


class Module(torch.nn.Module):
    def forward(self, value, locations, weights):
        return ms_deform_attn(value * 2, ((5, 4), (2, 3)), locations, weights) + 1


@needs_compiled
def test_compiles_without_a_graph_break():
    tensors = inputs()
    eager = Module()(*tensors)
    whole = torch.compile(Module(), fullgraph=True, backend="aot_eager")
    leaves = [tensor.requires_grad_() for tensor in tensors]
    output = whole(*leaves)
    torch.testing.assert_close(output, eager)
    output.sum().backward()
    wanted = output_and_gradients(lambda v, _, l, w: Module()(v, l, w), None, inputs())
    assert leaves[1].grad.shape == wanted[2].shape


@needs_compiled
@pytest.mark.parametrize("strict", [True, False])
def test_exports_for_any_number_of_images_and_queries(strict):
    tensors = tuple(inputs())
    any_size = torch.export.Dim.AUTO
    dynamic = ({0: any_size}, {0: any_size, 1: any_size}, {0: any_size, 1: any_size})
    program = torch.export.export(Module(), tensors, strict=strict, dynamic_shapes=dynamic)
    others = inputs(3, queries=8)
    torch.testing.assert_close(program.module()(*others), Module()(*others))
    names = [node.target.name() for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert "tf2::ms_deform_attn" in names


# ---- the choice of back ends


@pytest.fixture
def fresh(monkeypatch):
    """Back ends not chosen yet, and a place for libraries of one's own."""
    back_ends.compiled.cache_clear()
    yield monkeypatch
    back_ends.compiled.cache_clear()


def test_plain_can_be_forced(fresh):
    fresh.setenv("TF2_OPS", "plain")
    assert not back_ends.usable("cpu")


def test_unknown_back_end_is_an_error(fresh):
    fresh.setenv("TF2_OPS", "fast")
    with pytest.raises(InputError, match="TF2_OPS=fast: known are plain, cpu and cuda"):
        back_ends.usable("cpu")


def test_forcing_what_is_not_built_is_an_error(fresh):
    fresh.setenv("TF2_OPS", "cpu")
    fresh.setattr(back_ends, "library_file", lambda device: None)
    with pytest.raises(InputError, match="not built"):
        back_ends.usable("cpu")
    assert not back_ends.usable("mps")


def test_broken_library_is_one_warning(fresh, tmp_path, capsys):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    fresh.delenv("TF2_OPS", raising=False)
    fresh.setattr(back_ends, "library_file", lambda device: broken)
    value, locations, weights = inputs()
    for _ in range(2):
        ms_deform_attn(value, ((5, 4), (2, 3)), locations, weights)
    assert capsys.readouterr().err.count("\n") == 1
    fresh.setenv("TF2_OPS", "cpu")
    back_ends.compiled.cache_clear()
    with pytest.raises(InputError, match="TF2_OPS=cpu"):
        back_ends.usable("cpu")


@needs_compiled
def test_library_of_other_sources_is_not_used(fresh, capsys):
    fresh.delenv("TF2_OPS", raising=False)
    fresh.setattr("models.ops.functions.compiled.sources_digest", lambda: "other")
    assert not back_ends.usable("cpu")
    assert "other sources" in capsys.readouterr().err


@needs_compiled
def test_wrong_results_are_noticed(fresh, capsys):
    fresh.delenv("TF2_OPS", raising=False)
    fresh.setattr(back_ends, "plain", lambda *args: plain(*args) * 2)
    assert not back_ends.usable("cpu")
    assert "differs from plain PyTorch by 5.0e-01" in capsys.readouterr().err


# ---- the build


def test_without_compilers_nothing_is_built_and_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CXX", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    devices = build_operator.build(tmp_path / "tf2_ops")
    assert all(how.startswith("not built") for how in devices.values())
    assert json.loads((tmp_path / "tf2_ops" / "built.json").read_text())["devices"] == devices


def test_failing_compiler_is_said(tmp_path, monkeypatch):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'kernels.h:1: error: no such thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    devices = build_operator.build(tmp_path / "tf2_ops")
    assert "error: no such thing" in devices["cpu"]
    assert sorted(path.name for path in (tmp_path / "tf2_ops").iterdir()) == ["__init__.py", "built.json"]


def test_built_once_for_the_same_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    record = tmp_path / "tf2_ops" / "built.json"
    build_operator.build(record.parent)
    first = record.stat().st_mtime_ns
    build_operator.build(record.parent)
    assert record.stat().st_mtime_ns == first
    monkeypatch.setattr(build_operator, "sources_digest", lambda: "changed")
    build_operator.build(record.parent)
    assert record.stat().st_mtime_ns != first


@pytest.mark.skipif(not build_operator._nvcc(), reason="no nvcc on this machine")
def test_cuda_compiles_for_several_architectures(tmp_path, monkeypatch):
    """The oldest, and one that has all that the sources ask for; each takes seconds."""
    few = (build_operator.CUDA_ARCHITECTURES[0], "90")
    monkeypatch.setattr(build_operator, "CUDA_ARCHITECTURES", few)
    assert build_operator._build_cuda(tmp_path).startswith("built")
    names = (tmp_path / build_operator.library_name("cuda")).read_bytes()
    assert all(f"sm_{number}".encode() in names for number in few)


def test_released_test_program():
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "test.py"], cwd=ROOT / "models" / "ops", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout
    assert done.stdout.count("finite differences") >= 5
