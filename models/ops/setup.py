"""Build and install the operator alone: cd models/ops && python setup.py build install

`pip install .` at the top does it too. Needs setuptools, and a C++ compiler (nvcc for CUDA) for anything to be built.
"""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent))

from build_operator import packaging

setup(name="tf2-ops", **packaging("0.1.0"))
