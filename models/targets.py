"""A batch's targets on the grid of the predictions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from util.structures import Target, pad_to

STRIDE = 4
OFFSET = STRIDE // 2  # the pixel of each 4×4 cell that stands for it (spec §3)


@dataclass(frozen=True)
class ClipTargets:
    """Targets of B clips, stacked.

    labels  [B] int
    boxes   [B, T, 4] (cx, cy, w, h) in [0, 1] of the unpadded frame
    masks   [B, T, h, w] float at stride 4 of the padded frame
    valid   [B, T] bool
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor
    valid: Tensor

    @classmethod
    def stack(cls, targets: list[Target], mask_shape: tuple[int, int], device: torch.device) -> "ClipTargets":
        """Masks padded to the padded frame (4 × mask_shape), then sampled to mask_shape."""
        height, width = (side * STRIDE for side in mask_shape)
        masks = torch.stack([pad_to(t.masks, height, width) for t in targets])
        return cls(
            labels=torch.stack([t.label for t in targets]).to(device),
            boxes=torch.stack([t.boxes for t in targets]).to(device),
            masks=masks[..., OFFSET::STRIDE, OFFSET::STRIDE].to(device, torch.float32),
            valid=torch.stack([t.valid for t in targets]).bool().to(device),
        )
