"""The CUDA source, compiled by a C++ compiler and run thread by thread: its arithmetic without a GPU.

A warp is one thread here, so what threads of a warp tell one another is not tested.
"""

import ctypes
import re
import subprocess

import pytest
import torch
from test_compiled_operator import assert_near, inputs

from models.ops import build_operator
from models.ops.functions.compiled import _TYPE_CODES, _Problem
from models.ops.functions.ms_deform_attn_plain import ms_deform_attn as plain

SHAPES = ((5, 4), (2, 3))
SHIM = """
#include <cstdint>
#define __global__
#define __device__
#define __forceinline__ inline
static struct { unsigned x; } blockIdx, threadIdx, blockDim, gridDim;
typedef void* cudaStream_t;
enum { cudaErrorInvalidValue = 1 };
inline int cudaGetLastError() { return 0; }
struct __half { uint16_t bits; };
struct __nv_bfloat16 { uint16_t bits; };
union Bits { uint32_t bits; float number; };
inline float __half2float(__half) { return 0; }
inline __half __float2half_rn(float) { return {0}; }
inline float __bfloat162float(__nv_bfloat16 x) { return Bits{uint32_t(x.bits) << 16}.number; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  Bits b; b.number = x;
  return {uint16_t((b.bits + 0x7fff + (b.bits >> 16 & 1)) >> 16)};
}
template <class T> void atomicAdd(T* at, T number) { *at += number; }
template <class T> T __shfl_xor_sync(unsigned, T number, int) { return number; }
"""
LAUNCH = """(void)stream;
  blockDim.x = kThreads; gridDim.x = unsigned(blocks);
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
    for (threadIdx.x = 0; threadIdx.x < kThreads; ++threadIdx.x) kernel(call, count);"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = build_operator._cpu_compiler()
    if not compiler:
        pytest.skip("no C++ compiler on this machine")
    folder = tmp_path_factory.mktemp("cuda")
    source = (build_operator.SOURCES / "cuda" / "operator.cu").read_text(encoding="utf-8")
    source, launches = re.subn(r"kernel<<<.*>>>\(call, count\);", LAUNCH, source)
    assert launches == 1
    source = re.sub(r"#include <cuda_\w+.h>\n", "", source)
    source = source.replace("kThreads = 256, kWarp = 32", "kThreads = 7, kWarp = 1")
    source = source.replace('"../', f'"{build_operator.SOURCES}/')
    (folder / "operator.cpp").write_text(SHIM + source, encoding="utf-8")
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", '-DTF2_SOURCES="test"']
    subprocess.run([*command, "operator.cpp", "-o", "operator.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "operator.so"))


@pytest.mark.parametrize(
    ("value_type", "location_type", "tolerance"),
    [
        (torch.float64, torch.float64, 1e-14),
        (torch.float32, torch.float32, 1e-6),
        (torch.bfloat16, torch.float32, 5e-3),
        (torch.bfloat16, torch.bfloat16, 5e-3),
    ],
)
def test_equals_plain_pytorch(library, value_type, location_type, tolerance):
    value, locations, weights = inputs(2, SHAPES, queries=9, channels=13)
    value, locations, weights = value.to(value_type), locations.to(location_type), weights.to(location_type)
    exact = torch.float64 if value_type == torch.float64 else torch.float32
    tensors = {
        "value": value,
        "locations": locations,
        "weights": weights,
        "output": torch.empty(2, 9, 3, 13, dtype=value_type),
        "grad_output": torch.linspace(-1, 1, 2 * 9 * 3 * 13).view(2, 9, 3, 13).to(value_type),
        "grad_value": torch.zeros(value.shape, dtype=exact),
        "grad_locations": torch.empty_like(locations),
        "grad_weights": torch.empty_like(weights),
    }
    problem = _Problem(2, 26, 3, 13, 9, len(SHAPES), 2)
    problem.shapes = (ctypes.c_int64 * 4)(*SHAPES[0], *SHAPES[1])
    problem.value_type, problem.location_type = _TYPE_CODES[value_type], _TYPE_CODES[location_type]
    for name, tensor in tensors.items():
        setattr(problem, name, tensor.data_ptr())
    assert library.tf2_cuda_forward(ctypes.byref(problem), None) == 0
    assert library.tf2_cuda_backward(ctypes.byref(problem), None) == 0
    leaves = [tensor.double().requires_grad_() for tensor in (value, locations, weights)]
    output = plain(leaves[0], SHAPES, *leaves[1:])
    wanted = (output, *torch.autograd.grad(output, leaves, tensors["grad_output"].double().flatten(2)))
    ours = tensors["output"].flatten(2), *(tensors[f"grad_{name}"] for name in ("value", "locations", "weights"))
    assert_near(ours, wanted, tolerance)
