"""The loss of every decoder layer (spec §3, Losses)."""

import torch
from torch import Tensor, nn

from util.distributed import mean_over_workers
from util.settings import LossSettings
from util.structures import LayerOutput, NetworkOutput, Target

from .losses import box_l1, dice, focal, giou, mask_iou, quality_focal
from .matcher import ClipMatcher
from .targets import ClipTargets


class Criterion(nn.Module):
    """Matches one query a clip at each layer, and compares it with the target."""

    def __init__(self, settings: LossSettings, matcher: ClipMatcher):
        super().__init__()
        self.settings, self.matcher = settings, matcher
        self.by_quality = settings.class_target == "iou"  # else 1 is wanted of the matched query
        self.weights = {
            "loss_ce": settings.cls_loss_coef,
            "loss_bbox": settings.bbox_loss_coef,
            "loss_giou": settings.giou_loss_coef,
            "loss_mask": settings.mask_loss_coef,
            "loss_dice": settings.dice_loss_coef,
        }

    def forward(self, output: NetworkOutput, targets: list[Target]) -> dict[str, Tensor]:
        """Unweighted terms by name; those of decoder layer l but the last end in `_l`.

        All are divided by the number of valid frames, averaged over the workers, at least 1.
        """
        last = output.last
        stacked = _stack(last, targets)
        valid_frames = mean_over_workers(stacked.valid.sum().float()).clamp(min=1)
        layers = output.layers if self.settings.aux_loss else [last]
        losses = {}
        for number, layer in enumerate(layers):
            suffix = "" if layer is last else f"_{number}"
            terms = self.layer_losses(layer, stacked)
            losses |= {f"{name}{suffix}": value / valid_frames for name, value in terms.items()}
        return losses

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum of all terms: what training minimises."""
        return sum(self.weights["_".join(name.split("_")[:2])] * value for name, value in losses.items())

    def match(self, output: LayerOutput, targets: list[Target]) -> Tensor:
        """The query that stands for each clip's object at one layer, [B] int."""
        return self.matcher(output, _stack(output, targets))

    def layer_losses(self, output: LayerOutput, targets: ClipTargets) -> dict[str, Tensor]:
        """One layer's terms, summed over clips."""
        query = self.matcher(output, targets)
        clip = torch.arange(len(query), device=query.device)
        boxes = output.boxes.transpose(1, 2)[clip, query].float()  # B, T, 4
        frames = output.masks.transpose(1, 2)[clip, query].float().flatten(2)  # B, T, h·w
        masks, wanted_masks = frames.flatten(1), targets.masks.flatten(1)
        scores = targets.valid.float()
        if self.by_quality:
            scores = scores * mask_iou(frames > 0, targets.masks.flatten(2) > 0)
        wanted = torch.zeros_like(output.logits, dtype=torch.float32)
        wanted[clip, :, query, targets.labels] = scores
        return {
            "loss_ce": self._class_loss(output.logits.float(), wanted),
            "loss_bbox": box_l1(boxes, targets.boxes).sum(),
            "loss_giou": (1 - giou(boxes, targets.boxes)).sum(),
            "loss_mask": focal(masks, wanted_masks, self.settings.focal_alpha).mean(1).sum(),
            "loss_dice": dice(masks, wanted_masks).sum(),
        }

    def _class_loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Over all queries and frames; wanted: 0 but for the matched query on valid frames."""
        if self.by_quality:
            return quality_focal(logits, wanted).sum()
        return focal(logits, wanted, self.settings.focal_alpha).sum()


def _stack(output: LayerOutput, targets: list[Target]) -> ClipTargets:
    return ClipTargets.stack(targets, tuple(output.masks.shape[-2:]), output.masks.device)
