"""Parameter groups and schedules of the release."""

from copy import deepcopy

import pytest
import torch

from opts import parse_settings
from util.optimiser import build_optimiser, build_schedule, group_of, schedule_factor


def rates(*flags):
    return parse_settings(list(flags)).optimiser


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("backbone.0.body.conv1.weight", "backbone"),
        ("text_encoder.encoder.layer.0.output.dense.weight", "text_encoder"),
        ("transformer.reference_points.weight", "linear_proj"),
        ("transformer.encoder.layers.0.self_attn.sampling_offsets.bias", "linear_proj"),
        ("transformer.decoder.layers.0.norm1.weight", "rest"),
        ("resizer.fc.weight", "rest"),
        ("fusion_module.multihead_attn.in_proj_weight", "rest"),
    ],
)
def test_groups(name, group):
    assert group_of(name, rates()) == group


def test_rates_and_weight_decay():
    model = torch.nn.ModuleDict({"text_encoder": torch.nn.Linear(1, 1), "reference_points": torch.nn.LayerNorm(1)})
    model["text_encoder"].bias.requires_grad_(False)
    groups = {g["name"]: g for g in build_optimiser(model, rates("--lr_linear_proj_mult", "0.5")).param_groups}
    assert {name: (g["lr"], g["weight_decay"], len(g["params"])) for name, g in groups.items()} == {
        "text_encoder": (1e-5, 5e-4, 1),
        "linear_proj": (5e-5, 5e-4, 2),
    }


@pytest.mark.parametrize("fused", [False, True])
def test_moments_are_read_into_parameters_that_lie_otherwise_in_memory(fused):
    def trained(model, optimiser, seeds):
        for seed in seeds:
            torch.manual_seed(seed)
            optimiser.zero_grad()
            (model.weight * torch.randn(model.weight.shape)).sum().backward()
            optimiser.step()
        return model.weight.detach()

    torch.manual_seed(0)
    first, second = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.Conv2d(3, 4, 3, bias=False)
    second.to(memory_format=torch.channels_last)
    before, after = (build_optimiser(model, rates("--lr", "0.1"), fused=fused) for model in (first, second))
    second.weight.data.copy_(trained(first, before, (1, 2)))
    after.load_state_dict(deepcopy(before.state_dict()))
    torch.testing.assert_close(trained(second, after, (3, 4)), trained(first, before, (3, 4)))


def test_rates_drop_after_the_named_epochs():
    settings = rates("--epochs", "10", "--lr_drop", "6", "8")
    optimiser = build_optimiser(torch.nn.Linear(1, 1), settings)
    schedule = build_schedule(optimiser, settings, steps_per_epoch=3)
    seen = []
    for _ in range(30):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert seen == pytest.approx([1e-4] * 18 + [1e-5] * 6 + [1e-6] * 6)


def test_cosine_and_warm_up():
    factor = schedule_factor(rates("--lr_schedule", "cosine", "--warmup_steps", "4", "--epochs", "2"), 50)
    values = [factor(step) for step in range(100)]
    assert values[0] == pytest.approx(0.25)
    assert max(values) == values[3] == pytest.approx(1, abs=0.01)
    assert values[50] == pytest.approx(0.5)
    assert values[-1] < 0.001
    assert values[3:] == sorted(values[3:], reverse=True)


def test_a_later_start_has_the_rates_of_its_epoch():
    settings = rates("--epochs", "10", "--lr_drop", "6", "8")
    optimiser = build_optimiser(torch.nn.Linear(1, 1), settings)
    build_schedule(optimiser, settings, 3, first=18)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1e-5)
