"""Which samples make which batch: nothing twice, nothing lost, any step can be found again."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from datasets.batches import BatchPlan

PLANS = st.builds(
    BatchPlan,
    length=st.integers(1, 40),
    batch_size=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 9),
    world=st.integers(1, 3),
    epoch_clips=st.integers(0, 50),
)


@given(PLANS)
def test_an_epoch_holds_each_sample_at_most_once(plan):
    keys = [key for rank in range(plan.world) for batch in replace(plan, rank=rank) for key in batch]
    assert len(keys) == len(set(keys)) == plan.steps * plan.clips_per_step
    wanted = min(plan.epoch_clips or plan.length, plan.length)
    assert 0 <= wanted - plan.steps_per_epoch * plan.clips_per_step < plan.clips_per_step


def test_a_part_of_an_epoch_is_its_beginning():
    whole = list(BatchPlan(20, 2, 1, 1, 0))
    assert list(BatchPlan(20, 2, 1, 1, 0, epoch_clips=7)) == whole[:3]


@given(PLANS, st.integers(0, 20))
def test_a_resumed_run_goes_on_where_it_was(plan, step):
    step = min(step, plan.steps)
    batches = list(plan)
    assert list(replace(plan, start=step)) == batches[step * plan.accumulate :]
    assert len(plan) == len(batches)


@given(st.integers(4, 40), st.integers(0, 9))
def test_two_processes_share_the_doubled_batch(length, seed):
    together = list(BatchPlan(length, 2, 1, 2, seed))
    apart = [list(BatchPlan(length, 1, 1, 2, seed, rank, 2)) for rank in range(2)]
    assert together == [a + b for a, b in zip(*apart, strict=True)]


def test_epochs_are_shuffled_apart():
    batches = list(BatchPlan(20, 1, 1, 2, 0))
    assert [index for ((_, index),) in batches[:20]] != [index for ((_, index),) in batches[20:]]
