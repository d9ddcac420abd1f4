"""Peak memory of a process of its own."""

from functools import partial

import numpy as np

from tools.bench.own_process import peak_gib

GIB = 2**30


def test_peak_is_that_of_the_work_alone():
    here = np.ones(GIB // 16)  # half a GiB of this process, which the other does not have
    little, much = (peak_gib(partial(np.ones, size)) for size in (1, GIB // 32))
    assert 0.2 < much - little < 0.3
    assert little < here.nbytes / GIB + 0.4
