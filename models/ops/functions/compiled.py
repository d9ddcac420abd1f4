"""The compiled back ends: libraries that build.py made, called through ctypes on the memory of tensors.

N images, S tokens of all levels, M heads of width D, Lq queries, L levels, P points.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.precision import exact_type

from ..build_operator import sources_digest

MAX_CUDA_LEVELS = 16  # src/cuda/operator.cu: kMaxLevels
_TYPE_CODES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}  # src/problem.h
_TENSORS = ("value", "locations", "weights", "output", "grad_output", "grad_value", "grad_locations", "grad_weights")


class _Problem(ctypes.Structure):
    """`Problem` of src/problem.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "tokens", "heads", "channels", "queries", "levels", "points")),
        ("shapes", ctypes.POINTER(ctypes.c_int64)),
        ("value_type", ctypes.c_int64),
        ("location_type", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in _TENSORS),
        *((name, ctypes.c_void_p) for name in ("raw", "reference")),
        ("reference_numbers", ctypes.c_int64),
    )


def computes(value: Tensor, locations: Tensor, weights: Tensor) -> bool:
    """Whether a compiled back end takes these: float32, float64, or a half type with locations of it or float32."""
    cuda = value.device.type == "cuda"
    known = value.dtype in _TYPE_CODES and (cuda or value.dtype != torch.float16)
    exact = exact_type(value.dtype)
    types_fit = locations.dtype == weights.dtype and locations.dtype in (value.dtype, exact)
    return known and types_fit and (locations.shape[3] <= MAX_CUDA_LEVELS if cuda else size_fits_cpu(value))


def size_fits_cpu(value: Tensor) -> bool:
    """Whether places in a head's values, whose rows are filled up to whole vectors, are 32-bit numbers."""
    return value.shape[1] * (value.shape[3] + 64) < 2**31


class CompiledOperator:
    """One library. Tensors are contiguous, and such as `computes` agrees to.

    Raises OSError where `path` cannot be loaded, or was built from other sources than those beside this file.
    """

    def __init__(self, path: Path, device: str):
        self._library = ctypes.CDLL(str(path))
        self._library.tf2_sources.restype = ctypes.c_char_p
        if self._library.tf2_sources().decode() != sources_digest():
            raise OSError(f"{path} was built from other sources; build it again: pip install .")
        self._cuda = device == "cuda"

    def forward(self, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
        """[N, Lq, M·D] in the type of `value`; `shapes` lists H and W of each level in turn."""
        output = value.new_empty(*locations.shape[:3], value.shape[-1])
        self._call("forward", shapes, value=value, locations=locations, weights=weights, output=output)
        return output.flatten(2)

    def backward(
        self, grad_output: Tensor, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of value, locations and weights, each in its type."""
        # CUDA's threads add into it, so that it starts at zero, in a type that can be added into.
        grad_value = torch.zeros_like(value, dtype=exact_type(value.dtype)) if self._cuda else torch.empty_like(value)
        grad_locations, grad_weights = torch.empty_like(locations), torch.empty_like(weights)
        inputs = {"value": value, "locations": locations, "weights": weights, "grad_output": grad_output}
        self._call(
            "backward",
            shapes,
            **inputs,
            grad_value=grad_value,
            grad_locations=grad_locations,
            grad_weights=grad_weights,
        )
        return grad_value.to(value.dtype), grad_locations, grad_weights

    def attend(self, value: Tensor, shapes: Sequence[int], reference: Tensor, raw: Tensor, points: int) -> Tensor:
        """`forward` of what locations and weights are made of (fused_attention.py): float32, on the CPU."""
        output = value.new_empty(*raw.shape[:3], value.shape[-1])
        if output.numel() and not value.numel():
            output.zero_()
        elif output.numel():
            sizes = (raw.shape[1], reference.shape[2], points)
            problem = _problem(sizes, shapes, value=value, raw=raw, reference=reference, output=output)
            problem.reference_numbers = reference.shape[-1]
            self._run("attend", problem, value.device)
        return output.flatten(2)

    def _call(self, direction: str, shapes: Sequence[int], **tensors: Tensor) -> None:
        value, locations = tensors["value"], tensors["locations"]
        if 0 in (*value.shape, *locations.shape):
            _fill_with_zero(tensors)
            return
        _, queries, _, levels, points, _ = locations.shape
        problem = _problem((queries, levels, points), shapes, **tensors)
        problem.value_type, problem.location_type = _TYPE_CODES[value.dtype], _TYPE_CODES[locations.dtype]
        self._run(direction, problem, value.device)

    def _run(self, direction: str, problem: _Problem, device: torch.device) -> None:
        if not self._cuda:
            function = getattr(self._library, f"tf2_{direction}")
            if function(ctypes.byref(problem), torch.get_num_threads()):
                raise MemoryError("ms_deform_attn: no memory for one head's values")
            return
        function = getattr(self._library, f"tf2_cuda_{direction}")
        with torch.cuda.device(device):
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            error = function(ctypes.byref(problem), stream)
        if error:
            raise RuntimeError(f"ms_deform_attn: CUDA error {error} at the {direction} kernel's start")

    def kernels(self) -> str:
        """Which vector unit's kernels run on this CPU: "avx512", "avx2" or "generic"."""
        self._library.tf2_kernels.restype = ctypes.c_char_p
        return self._library.tf2_kernels().decode()

    def choose_kernels(self, name: str) -> bool:
        """Run others, for tests; False where this CPU cannot."""
        return self._library.tf2_choose_kernels(name.encode()) == 0


def _problem(sizes: tuple[int, int, int], shapes: Sequence[int], **tensors: Tensor) -> _Problem:
    """`sizes`: queries, levels, points."""
    problem = _Problem(*tensors["value"].shape, *sizes)
    problem.shapes = (ctypes.c_int64 * len(shapes))(*shapes)
    for name, tensor in tensors.items():
        setattr(problem, name, tensor.data_ptr())
    return problem


def _fill_with_zero(tensors: dict[str, Tensor]) -> None:
    """The results where there is nothing to sample from, or for."""
    for name, tensor in tensors.items():
        if name == "output" or (name.startswith("grad_") and name != "grad_output"):
            tensor.zero_()
