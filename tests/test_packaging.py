"""What `pip install .` puts where it goes, and this checkout beside packages of the same names, as Hugging Face's."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.make_untrained import make_clip

ROOT = Path(__file__).parents[1]
BUILT_OF = ("setup.py", "pyproject.toml", "README.md", "requirements.txt", "requirements-dev.txt", "LICENSE", "NOTICE")
OURS = ("datasets", "models", "util", "tools", "engine", "opts")


def python(*command, cwd, **variables):
    command = [sys.executable, *map(str, command)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def test_the_wheel_holds_the_operator_alone(tmp_path):
    """Without a compiler, which it must not need."""
    pytest.importorskip("setuptools", reason="setuptools is not installed here")
    for name in BUILT_OF:
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "models" / "ops", tmp_path / "models" / "ops", ignore=shutil.ignore_patterns("build"))
    for name in (*OURS, "tf2"):
        (tmp_path / f"{name}.py").touch()  # would be found if anything looked for modules
    none = str(tmp_path / "no_compiler")
    python("setup.py", "--quiet", "bdist_wheel", cwd=tmp_path, CXX=none, CUDA_HOME=none)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tf2_ops"}
    assert "+plain" in wheel.name


@pytest.fixture
def others(tmp_path):
    """A folder of foreign packages that are called as ours, each of which says that it was imported."""
    folder = tmp_path / "site"
    for name in OURS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('the foreign {name} was imported')\n")
        metadata = folder / f"{name}-9.9.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    return str(folder)


def test_the_demo_beside_hugging_face_datasets_from_another_folder(others, checkpoint, text_encoder, tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=2, size=(60, 100))
    where = ("--video", "clip.mp4", "--text", "a ball", "--output", "out", "--resume", checkpoint)
    flags = ("--text_encoder", text_encoder, "--device", "cpu", "--short_side", "64")
    python(ROOT / "demo.py", *where, *flags, cwd=tmp_path, PYTHONPATH=others)
    assert (tmp_path / "out" / "overview.png").is_file()


@pytest.mark.parametrize("tool", ["tools/data/check.py", "tools/evaluate.py", "eval_davis.py"])
def test_tools_find_this_checkout_from_another_folder(others, tool, tmp_path):
    assert "usage: " in python(ROOT / tool, "--help", cwd=tmp_path, PYTHONPATH=others).stdout
