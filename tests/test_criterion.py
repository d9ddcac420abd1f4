"""Losses and matching: hand-made cases, empty targets, and what the released numbers do not pin."""

import pytest
import torch

from models.criterion import Criterion
from models.losses import dice, giou
from models.matcher import ClipMatcher
from opts import parse_settings
from util.structures import LayerOutput, NetworkOutput, Target

FLAGS = ["--backbone_pretrained", "random"]


def target(length=2, height=32, width=48, valid=None):
    """A rectangle that stays; invalid frames are empty."""
    valid = torch.ones(length, dtype=torch.bool) if valid is None else torch.tensor(valid)
    masks = torch.zeros(length, height, width, dtype=torch.bool)
    masks[valid, 8:24, 8:32] = True
    box = torch.tensor([19.5 / width, 15.5 / height, 23 / width, 15 / height])
    return Target(torch.tensor(0), box.expand(length, 4) * valid[:, None], masks, valid)


def prediction(batch=1, length=2, queries=5, classes=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return LayerOutput(
        logits=torch.randn(batch, length, queries, classes, generator=generator).requires_grad_(),
        boxes=torch.rand(batch, length, queries, 4, generator=generator).requires_grad_(),
        masks=torch.randn(batch, length, queries, 8, 12, generator=generator).requires_grad_(),
    )


@pytest.fixture
def criterion():
    settings = parse_settings(FLAGS)
    return Criterion(settings.loss, ClipMatcher(settings.loss))


def output(*layers):
    return NetworkOutput(list(layers), torch.zeros(1))


def test_the_fitting_query_is_matched(criterion):
    layer = prediction()
    with torch.no_grad():
        wanted = target()
        layer.masks[0, :, 3] = torch.where(wanted.masks[:, 2::4, 2::4], 5.0, -5.0)
        layer.boxes[0, :, 3] = wanted.boxes
        layer.logits[0, :, 3] = 4.0
    assert criterion.match(layer, [wanted]).tolist() == [3]


def test_perfect_predictions_cost_next_to_nothing(criterion):
    layer, wanted = prediction(queries=1), target()
    with torch.no_grad():
        layer.masks[0, :, 0] = torch.where(wanted.masks[:, 2::4, 2::4], 20.0, -20.0)
        layer.boxes[0, :, 0] = wanted.boxes
        layer.logits[...] = 20.0
    losses = criterion(output(layer), [wanted])
    assert all(abs(value.item()) < 1e-3 for value in losses.values()), losses


@pytest.mark.parametrize("valid", [[False, False], [True, False]])
def test_frames_without_the_object_leave_everything_finite(criterion, valid):
    layer = prediction()
    losses = criterion(output(layer), [target(valid=valid)])
    criterion.total(losses).backward()
    assert all(value.isfinite() for value in losses.values())
    assert layer.logits.grad.isfinite().all()
    assert layer.masks.grad.isfinite().all()


def test_losses_are_divided_by_valid_frames(criterion):
    layer = prediction(batch=2)
    both = criterion(output(layer), [target(), target(valid=[False, False])])
    split = criterion.layer_losses(layer, _stacked(layer, [target(), target(valid=[False, False])]))
    for name, value in both.items():
        torch.testing.assert_close(value, split[name] / 2)


def _stacked(layer, targets):
    from models.targets import ClipTargets

    return ClipTargets.stack(targets, tuple(layer.masks.shape[-2:]), torch.device("cpu"))


def test_only_the_matched_class_is_positive(criterion):
    layer = prediction(classes=3)
    wanted = target()
    wanted = Target(torch.tensor(2), wanted.boxes, wanted.masks, wanted.valid)
    query = int(criterion.match(layer, [wanted]))
    criterion(output(layer), [wanted])["loss_ce"].backward()
    signs = layer.logits.grad[0].sign()
    assert (signs[:, query, 2] < 0).all()
    assert int((signs < 0).sum()) == 2


def test_with_iou_as_target_the_score_of_a_mask_is_its_iou():
    settings = parse_settings([*FLAGS, "--class_target", "iou"])
    criterion = Criterion(settings.loss, ClipMatcher(settings.loss))
    layer, wanted = prediction(queries=1), target(valid=[True, False])
    half = wanted.masks[0, 2::4, 2::4].clone()
    half[:4] = False
    with torch.no_grad():
        layer.masks[0, :, 0] = torch.where(half, 5.0, -5.0)
    iou = half.sum() / wanted.masks[0, 2::4, 2::4].sum()
    assert 0.2 < iou < 0.8
    costs = []
    for score in (0.1, float(iou), 0.9):
        with torch.no_grad():
            layer.logits[0, :, 0, 0] = torch.tensor([score, 1e-6]).logit()
        costs.append(criterion(output(layer), [wanted])["loss_ce"].item())
    assert costs[1] == pytest.approx(0, abs=1e-6) and min(costs[0], costs[2]) > 0.01
    with torch.no_grad():
        layer.logits[0, 1] = 2.0  # the object is not in the second frame: its score is to be 0
    assert criterion(output(layer), [wanted])["loss_ce"] > 0.5


def test_auxiliary_layers_are_named_and_may_be_left_out(criterion):
    layers = [prediction(seed=i) for i in range(3)]
    names = set(criterion(output(*layers), [target()]))
    assert {n for n in names if n.startswith("loss_ce")} == {"loss_ce_0", "loss_ce_1", "loss_ce"}
    settings = parse_settings([*FLAGS, "--no_aux_loss"])
    last_only = Criterion(settings.loss, ClipMatcher(settings.loss))
    assert len(last_only(output(*layers), [target()])) == 5


def test_smaller_clips_are_padded_to_the_batch(criterion):
    layer = prediction(batch=2)
    losses = criterion(output(layer), [target(), target(height=28, width=40)])
    assert criterion.total(losses).isfinite()


def test_giou_of_known_boxes():
    a = torch.tensor([0.25, 0.25, 0.5, 0.5])
    b = torch.tensor([0.75, 0.75, 0.5, 0.5])
    assert float(giou(a, a)) == pytest.approx(1, abs=1e-4)
    assert float(giou(a, b)) == pytest.approx(-0.5, abs=1e-4)


def test_dice_of_empty_and_equal_masks():
    empty = torch.zeros(10)
    assert float(dice(empty - 50, empty)) == pytest.approx(0, abs=1e-6)
    full = torch.ones(10)
    assert float(dice(full * 50, full)) == pytest.approx(0, abs=1e-6)
    assert float(dice(full * 50, empty)) == pytest.approx(1 - 1 / 11, abs=1e-5)
