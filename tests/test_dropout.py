"""The dropout of training does what PyTorch's does, with other draws."""

import pytest
import torch

from models.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 5, 7), (1030, 1030)])
def test_a_share_is_zero_and_the_rest_is_scaled(dtype, shape):
    x = torch.full(shape, 3.0, dtype=dtype).requires_grad_()
    output = Dropout(0.25)(x.transpose(0, 1)).transpose(0, 1)
    output.sum().backward()
    kept = output > 0
    torch.testing.assert_close(output[kept], torch.full_like(output[kept], 4))
    torch.testing.assert_close(x.grad, output.detach() / 3)
    assert output.dtype == dtype
    if len(shape) == 2:
        assert kept.float().mean() == pytest.approx(0.75, abs=0.002)
        assert kept.float().mean(0).std() == pytest.approx((0.25 * 0.75 / 1030) ** 0.5, rel=0.2), "draws are alone"


def test_off_and_all():
    x = torch.randn(4, 9)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()


def test_it_follows_the_seed():
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(Dropout(0.5)(torch.ones(40)))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
