"""`pip install .` installs what TF² needs, and the compiled operator where this machine can build it.

The folders models/, datasets/ and util/ are run from this checkout. As installed packages they would stand in front of
other people's of the same name, such as Hugging Face's `datasets`.
"""

import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "models" / "ops"))

from build_operator import packaging  # noqa: E402


def requirements(name: str) -> list[str]:
    """The lines of a requirements file that name a package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


setup(
    name="tf2-rvos",
    description="TF²: tracking-forced referring video object segmentation",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.10",
    install_requires=requirements("requirements.txt"),
    extras_require={"dev": requirements("requirements-dev.txt")},
    py_modules=[],
    **packaging("0.1.0"),
)
