"""Which query speaks for the object: one a clip, the cheapest (spec §3, Matching)."""

import torch
from torch import Tensor, nn

from util.settings import LossSettings
from util.structures import LayerOutput

from .losses import box_l1, dice, focal, focal_class_cost, giou
from .targets import ClipTargets


class ClipMatcher(nn.Module):
    """The referred object of a clip is one; its query is the argmin of a weighted cost."""

    def __init__(self, settings: LossSettings):
        super().__init__()
        self.settings = settings

    @torch.no_grad()
    def forward(self, output: LayerOutput, targets: ClipTargets) -> Tensor:
        """One layer's predictions for B clips → the chosen query of each, [B] int."""
        return self.cost(output, targets).argmin(-1)

    def cost(self, output: LayerOutput, targets: ClipTargets) -> Tensor:
        """The cost of each query, [B, Q]."""
        s = self.settings
        boxes = output.boxes.transpose(1, 2)  # B, Q, T, 4
        wanted_boxes = targets.boxes[:, None]
        masks = output.masks.float().transpose(1, 2).flatten(2)  # B, Q, T·h·w
        wanted_masks = targets.masks.flatten(1)[:, None]
        return (
            s.set_cost_class * self._class_cost(output.logits.float(), targets)
            + s.set_cost_bbox * box_l1(boxes, wanted_boxes).mean(-1)
            - s.set_cost_giou * giou(boxes, wanted_boxes).mean(-1)
            + s.set_cost_mask * focal(masks, wanted_masks.expand_as(masks), s.focal_alpha).mean(-1)
            - s.set_cost_dice * (1 - dice(masks, wanted_masks))
        )

    def _class_cost(self, logits: Tensor, targets: ClipTargets) -> Tensor:
        """[B, T, Q, K] → [B, Q], the mean over valid frames; zero for a clip without any."""
        batch, length, queries, _ = logits.shape
        index = targets.labels[:, None, None, None].expand(batch, length, queries, 1)
        cost = focal_class_cost(logits.gather(-1, index)[..., 0], self.settings.focal_alpha)
        valid = targets.valid.to(cost.dtype)[..., None]
        return (cost * valid).sum(1) / valid.sum(1).clamp(min=1)
