"""The benchmark of inference compares like with like: both ways give the same masks."""

from argparse import Namespace
from functools import partial

import numpy as np
import pytest

from tools.bench.inference import Case, measure
from tools.bench.own_process import peak_after

ARGS = Namespace(backbone="timm:tf_efficientnet_lite0", sentences=2, frames=3, rounds=1, precision="fp32")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("tools.bench.inference.SIZE", (64, 96))
    monkeypatch.setattr("tools.bench.inference.OBJECT", (slice(10, 40), slice(20, 60)))
    monkeypatch.setattr("tools.bench.peak.SIDE", 64)
    monkeypatch.setattr("tools.bench.inference.peak_gib", partial(peak_after, 1))  # another process is not small


def test_both_ways_give_the_same_masks(small, monkeypatch):
    """Without the packed layers: with random weights, the queries' scores are too close to bear their 1e-5."""
    monkeypatch.setattr("tools.bench.inference.speed_up", lambda network, precision: None)
    case = Case.prepare(ARGS)
    assert case.mask_iou() > 0.97
    ours = {(n, f.index): f.probability > 0.5 for n, f in case.tracked(given=True)}
    for number, caption in enumerate(case.captions):
        for index, mask in case.plain.track(case.video, caption, case.mask).items():
            assert np.mean(ours[number, index].numpy() != mask) < 0.01


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_figures(small, precision):
    figures = measure(Namespace(**vars(ARGS) | {"precision": precision}))
    assert (figures["sentences"], figures["precision"]) == (2, precision)
    assert 0 <= figures["mask_iou"] <= 1
    assert figures["ratio"] > 0
    assert figures["plain_gflop"] > 0.1
    assert figures["plain_peak_gib"] > 0.1
    assert figures["share_of_peak"] > 0
