"""Sums that do not depend on where numbers lie in memory, for results that repeat bit for bit on a CPU.

Intel's MKL, which multiplies matrices for PyTorch, adds in an order that goes by the addresses on some processors.
"""

import os

CHOSEN, STRICT = "MKL_CBWR", "AUTO,STRICT"  # environment: MKL's own word for "conditional bitwise reproducibility"


def repeat_sums() -> None:
    """Ask MKL for one order, for the whole process; before its first product. Who set MKL_CBWR is left alone."""
    os.environ.setdefault(CHOSEN, STRICT)
