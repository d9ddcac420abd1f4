"""The feed-forward of training gives what its steps give, and its gradients."""

import copy

import pytest
import torch
from torch import nn

from models.feedforward import FEWEST_ROWS, feedforward, plain_feedforward

WIDTH, HIDDEN = 32, 64


def layers(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Linear(WIDTH, HIDDEN, dtype=dtype), nn.Linear(HIDDEN, WIDTH, dtype=dtype)


def result_and_gradients(function, tokens, linears):
    """The output, then the gradients of tokens and parameters, of a loss that weighs every output differently."""
    tokens, linears = tokens.clone().requires_grad_(), copy.deepcopy(linears)
    output = function(tokens, *linears, nn.Dropout(0.0))
    (output.float() * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return [output.detach(), tokens.grad, *(p.grad for linear in linears for p in linear.parameters())]


@pytest.mark.parametrize("rows", [7, FEWEST_ROWS + 1])  # alone, and on packed weights where there are any
def test_as_the_steps(rows):
    tokens, linears = torch.randn(2, rows, WIDTH), layers()
    both = [result_and_gradients(function, tokens, linears) for function in (feedforward, plain_feedforward)]
    for ours, plain in zip(*both, strict=True):
        assert (ours - plain).norm() <= 1e-5 * plain.norm()


def test_gradients_of_float64():
    first, second = layers(torch.float64)
    tokens = torch.randn(3, WIDTH, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: feedforward(x, first, second, nn.Dropout(0.0)), tokens)


def test_under_autocast():
    tokens, linears = torch.randn(9, WIDTH), layers()
    exact = result_and_gradients(plain_feedforward, tokens, linears)
    with torch.autocast("cpu", torch.bfloat16):
        half = result_and_gradients(feedforward, tokens, linears)
    assert half[0].dtype == torch.bfloat16
    for ours, plain in zip(half, exact, strict=True):
        assert (ours.float() - plain).norm() <= 0.02 * plain.norm()
    assert all(gradient.dtype == torch.float32 for gradient in half[1:])


def test_dropout_scales_what_it_keeps_and_stops_the_rest():
    one = nn.Linear(WIDTH, WIDTH)
    nn.init.eye_(one.weight)
    nn.init.zeros_(one.bias)
    tokens = torch.ones(500, WIDTH, requires_grad=True)
    output = feedforward(tokens, one, one, nn.Dropout(0.25))
    output.sum().backward()
    kept = output > 0
    torch.testing.assert_close(output[kept], torch.full_like(output[kept], 4 / 3))
    torch.testing.assert_close(tokens.grad, output.detach())
    assert kept.float().mean() == pytest.approx(0.75, abs=0.02)


def test_dropout_is_off_in_evaluation_and_follows_the_seed():
    tokens, linears = torch.randn(5, WIDTH), layers()
    plain = plain_feedforward(tokens, *linears, nn.Dropout(0.0))
    torch.testing.assert_close(feedforward(tokens, *linears, nn.Dropout(0.5).eval()), plain)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(feedforward(tokens, *linears, nn.Dropout(0.5)))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
