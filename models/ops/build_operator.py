"""Compile the operator into two shared libraries, for CPUs and for CUDA: what the machine can build.

`pip install .` at the top and `python setup.py build install` here install the result as the package tf2_ops.

The libraries know nothing of Python or PyTorch, which are therefore not needed here, and may change under them: only
raw memory is handed over (functions/compiled.py).
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "src"
PACKAGE = "tf2_ops"  # what it is installed as
RECORD = "built.json"
# -fno-trapping-math, -fno-math-errno: comparisons and conversions may be vectorised. No -ffast-math: NaN must stay NaN.
CPU_FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
# Apple's clang has no OpenMP; an old assembler under a new compiler has no AMX.
_CPU_ATTEMPTS = (
    (("-fopenmp",), ""),
    (("-fopenmp", "-DTF2_NO_AMX"), ", without AMX"),
    ((), ", for one thread (no OpenMP)"),
    (("-DTF2_NO_AMX",), ", for one thread (no OpenMP), without AMX"),
)
CUDA_FLAGS = ("-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC", "--threads", "0")
CUDA_ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")


def library_name(device: str) -> str:
    """File name of the back end for "cpu" or "cuda"."""
    return f"libms_deform_attn_{device}.so"


def sources_digest() -> str:
    """Which sources these are; a library tells which it was built from."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*.*")):
        digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def build(folder: Path) -> dict[str, str]:
    """Build what can be built into `folder`, unless these sources were; device → how, or why not.

    The folder becomes a package: `__init__.py`, the libraries, and `built.json`, written last.
    """
    record = folder / RECORD
    wanted = {"sources": sources_digest(), "tools": [_cpu_compiler(), _nvcc()]}
    if record.is_file():
        found = json.loads(record.read_text(encoding="utf-8"))
        if all(found.get(key) == value for key, value in wanted.items()):
            return found["devices"]
    folder.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    (folder / "__init__.py").write_text('"""Compiled operator of TF²; models/ops loads it."""\n', encoding="utf-8")
    devices = {"cpu": _build_cpu(folder), "cuda": _build_cuda(folder)}
    record.write_text(json.dumps(wanted | {"devices": devices}, indent=1) + "\n", encoding="utf-8")
    return devices


def packaging(version: str) -> dict[str, Any]:
    """Build into the working directory's `build/`, say what was built, and return that as arguments for setup().

    The version tells it too, since pip keeps all other lines to itself: 1.0+cpu.cuda, or 1.0+plain where nothing was.
    """
    from setuptools import Distribution  # not there where only the operator is used

    class BinaryDistribution(Distribution):
        def has_ext_modules(self) -> bool:
            return True  # the wheel is for this machine

    folder = Path("build") / PACKAGE
    devices = build(folder)
    print("operator: " + "; ".join(f"{device}: {how}" for device, how in devices.items()), file=sys.stderr)
    built = [device for device in devices if (folder / library_name(device)).is_file()]
    return {
        "version": f"{version}+{'.'.join(built) or 'plain'}",
        "packages": [PACKAGE],
        "package_dir": {PACKAGE: folder.as_posix()},
        "package_data": {PACKAGE: ["*.so", RECORD]},
        "zip_safe": False,
        "distclass": BinaryDistribution,
    }


def _build_cpu(folder: Path) -> str:
    compiler = _cpu_compiler()
    if not compiler:
        return "not built (no C++ compiler: c++, g++ or clang++)"
    sources = map(str, sorted((SOURCES / "cpu").glob("*.cpp")))
    command = [compiler, *CPU_FLAGS, _digest_flag(), *sources]
    obstacles = []
    for flags, lacks in _CPU_ATTEMPTS:
        why = _compile([*command, *flags], folder / library_name("cpu"))
        if not why:
            return f"built with {compiler}{lacks}" + (f" ({obstacles[0]})" if obstacles else "")
        obstacles.append(why)
    return f"not built ({why})"


def _build_cuda(folder: Path) -> str:
    nvcc = _nvcc()
    if not nvcc:
        return "not built (no nvcc: set CUDA_HOME, or put it on PATH)"
    known = _run([nvcc, "--list-gpu-code"]).stdout.split()
    targets = [f"arch=compute_{a},code=sm_{a}" for a in CUDA_ARCHITECTURES if f"sm_{a}" in known]
    newest = targets[-1].split(",")[0].removeprefix("arch=") if targets else ""
    targets += [f"arch={newest},code={newest}"] if newest else []  # for GPUs to come
    flags = [part for target in targets for part in ("-gencode", target)]
    command = [nvcc, *CUDA_FLAGS, _digest_flag(), *flags, str(SOURCES / "cuda" / "operator.cu")]
    why = _compile(command, folder / library_name("cuda"))
    return f"not built ({why})" if why else f"built with {nvcc}"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (the machine's compiler)


def _compile(command: list[str], library: Path) -> str:
    """Run the compiler; "" or, in a few words, why there is no library."""
    with tempfile.TemporaryDirectory(dir=library.parent) as temporary:
        made = Path(temporary) / library.name
        try:
            done = _run([*command, "-o", str(made)])
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        if done.returncode == 0:
            made.replace(library)
            return ""
    library.unlink(missing_ok=True)
    errors = [line for line in (done.stderr + done.stdout).splitlines() if "error" in line.lower()]
    return f"{command[0]}: {errors[0].strip() if errors else f'exit code {done.returncode}'}"


def _digest_flag() -> str:
    return f'-DTF2_SOURCES="{sources_digest()}"'


def _cpu_compiler() -> str | None:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    return next(filter(None, map(shutil.which, names)), None)


def _nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    return shutil.which("nvcc", path=str(Path(home) / "bin")) if home else shutil.which("nvcc")
