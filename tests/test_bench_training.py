"""The benchmark of training compares like with like: both ways make the same step."""

from argparse import Namespace
from functools import partial

import pytest
import torch
from transformers import RobertaConfig

from tools.bench import training
from tools.bench.own_process import peak_after
from tools.bench.peak import float32_peak
from tools.bench.plain_inference import plain_operator
from tools.bench.training import Trainee, made_clip, measure

BACKBONE = "timm:tf_efficientnet_lite0"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(training, "SIZE", (2, 64, 96))
    monkeypatch.setattr(training, "OBJECT", (slice(10, 40), slice(20, 60)))
    monkeypatch.setattr("tools.bench.peak.SIDE", 64)
    monkeypatch.setattr(training, "peak_gib", partial(peak_after, 1))  # a process of its own would not be small
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    monkeypatch.setattr(training, "RobertaConfig", lambda **sizes: RobertaConfig(vocab_size=200, **tiny, **sizes))


def test_both_ways_start_from_the_same_loss():
    plain, ours = (Trainee.build(BACKBONE, way) for way in ("plain", "fp32"))
    losses = []
    for trainee in (plain, ours):
        for module in trainee.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trainee.network.text_encoder.eval()
        with plain_operator():
            losses.append(trainee.step(*made_clip()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_figures():
    figures = measure(Namespace(backbone=BACKBONE, rounds=1))
    assert figures["ratio_fp32"] > 0 and figures["ratio_bf16"] > 0 and figures["plain_gflop"] > 0.1
    assert all(figures[f"{way}_peak_gib"] > 0.1 for way in training.FLAGS)
    assert float32_peak(figures) >= figures["matmul_float32_gflop_per_s"] > 0
