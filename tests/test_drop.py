"""Dropout's draws: each kernel's and PyTorch's are the same ones, and as good as they should be."""

import pytest
import torch

from models.ops.functions import drop
from models.ops.functions.back_ends import compiled
from models.ops.functions.drop import dropped, new_seed

CPU = compiled("cpu")
SEED = 2**63 + 12345  # of all 64 bits
SIZES = (0, 1, 31, 64, 1000, (1 << 16) + 3, (1 << 20) + 65)  # parts of a vector, of a thread's part, of PyTorch's part


@pytest.fixture(params=["generic", "avx2", "avx512"])
def kernels(request):
    best = CPU.kernels() if CPU else ""
    if CPU is None or not CPU.choose_kernels(request.param):
        pytest.skip(f"this machine has no {request.param} kernels")
    yield request.param
    CPU.choose_kernels(best)


@pytest.fixture
def by_pytorch(monkeypatch):
    def run(*args, **kwargs):
        with monkeypatch.context() as without:
            without.setattr(drop, "_library", lambda: None)
            return dropped(*args, **kwargs)

    return run


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [1e-9, 0.1, 0.99999999])
def test_kernels_and_pytorch_draw_the_same(kernels, by_pytorch, dtype, share):
    for size in SIZES:
        x = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(dtype)
        x[::7] = torch.nan
        for steps in ({"scale": 1.25}, {"relu": True, "in_place": True}):
            ours, plain = (run(x.clone(), share, SEED, **steps) for run in (dropped, by_pytorch))
            torch.testing.assert_close(ours, plain, rtol=0, atol=0, equal_nan=True)


def test_any_number_of_threads_draws_the_same():
    x, threads, results = torch.ones((1 << 18) + 5), torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            results.append(dropped(x, 0.3, 7))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_types_are_dropped_too(dtype):
    x = torch.ones(1000, dtype=dtype)
    assert torch.equal(dropped(x, 0.3, 7, scale=2.0), dropped(x.float(), 0.3, 7, scale=2.0).to(dtype))
    assert x.all()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_draws_are_fair_and_know_nothing_of_each_other(share):
    """Means and correlations of a million draws, within five of their standard deviations."""
    count = 1 << 20
    first, second, third = (
        (dropped(torch.ones(count), share, seed) > 0).double().sub_(1 - share) for seed in (1, 2, 2**40)
    )
    deviation = (share * (1 - share) / count) ** 0.5
    assert abs(first.mean()) < 5 * deviation
    bound = 5 * share * (1 - share) / count**0.5
    for other in (second, third, *(first.roll(distance) for distance in (1, 2, 4, 32, 2048))):
        assert abs((first * other).mean()) < bound


def test_seeds_follow_from_the_seed_of_pytorch():
    seeds = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        seeds.append((new_seed(), new_seed()))
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[0][0] != seeds[0][1]


def test_what_is_not_contiguous_is_refused():
    with pytest.raises(ValueError, match="not a contiguous tensor on the CPU"):
        dropped(torch.ones(3, 4).t(), 0.1, 1)
