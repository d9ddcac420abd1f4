"""The benchmark of inference compares like with like: both ways give the same masks."""

from argparse import Namespace

import numpy as np
import pytest

from tools.bench.inference import Case, measure
from tools.make_text_encoder import make_text_encoder
from tools.make_untrained import SENTENCES

ARGS = Namespace(backbone="timm:tf_efficientnet_lite0", sentences=2, frames=3, rounds=1, precision="fp32")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("tools.bench.inference.SIZE", (64, 96))
    monkeypatch.setattr("tools.bench.inference.OBJECT", (slice(10, 40), slice(20, 60)))


def test_both_ways_give_the_same_masks(small, tmp_path, monkeypatch):
    """Without the packed layers: with random weights, the queries' scores are too close to bear their 1e-5."""
    monkeypatch.setattr("tools.bench.inference.speed_up", lambda network, precision: None)
    make_text_encoder(tmp_path / "text", SENTENCES)
    case = Case.prepare(ARGS, tmp_path)
    assert case.mask_iou() > 0.97
    ours = {(n, f.index): f.probability > 0.5 for n, f in case.tracked([case.given] * 2)}
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
