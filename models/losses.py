"""The terms of the loss and of the matching cost (spec §3, Losses)."""

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert, sigmoid_focal_loss

GAMMA = 2.0
EPSILON = 1e-6  # of the GIoU's two quotients


def focal(logits: Tensor, targets: Tensor, alpha: float) -> Tensor:
    """Sigmoid focal loss of each element (Lin et al. 2017, eq. 5); both tensors of one shape, targets in [0, 1]."""
    return sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=GAMMA, reduction="none")


def quality_focal(logits: Tensor, targets: Tensor) -> Tensor:
    """|target − p|² · cross-entropy of each element: least where p is the target, a quality in [0, 1].

    Both tensors of one shape (Li et al., "Generalized Focal Loss", NeurIPS 2020, eq. 2, β = 2).
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (targets - logits.sigmoid()).abs() ** GAMMA * cross_entropy


def mask_iou(masks: Tensor, targets: Tensor) -> Tensor:
    """IoU over the last axis of bool masks [..., S] each → [...]; 0 where both are empty."""
    return (masks & targets).sum(-1) / (masks | targets).sum(-1).clamp(min=1)


def focal_class_cost(logits: Tensor, alpha: float) -> Tensor:
    """Positive minus negative focal term of a class's logits, same shape: what choosing this query would change."""
    p, epsilon = logits.sigmoid(), 1e-8
    positive = -alpha * (1 - p) ** GAMMA * (p + epsilon).log()
    negative = -(1 - alpha) * p**GAMMA * (1 - p + epsilon).log()
    return positive - negative


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """1 − Dice overlap over the last axis, smoothing 1: [..., S] and a shape that broadcasts to it → [...]."""
    p = logits.sigmoid()
    return 1 - (2 * (p * targets).sum(-1) + 1) / (p.sum(-1) + targets.sum(-1) + 1)


def giou(boxes: Tensor, targets: Tensor) -> Tensor:
    """Generalised IoU of boxes (cx, cy, w, h), [..., 4] each (broadcast) → [...] (Rezatofighi et al. 2019).

    torchvision's version has other epsilons, and the released losses depend on these where boxes are empty.
    """
    a, b = box_convert(boxes, "cxcywh", "xyxy"), box_convert(targets, "cxcywh", "xyxy")
    inner = (a[..., 2:].minimum(b[..., 2:]) - a[..., :2].maximum(b[..., :2])).clamp(min=0).prod(-1)
    hull = (a[..., 2:].maximum(b[..., 2:]) - a[..., :2].minimum(b[..., :2])).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner
    return (inner + EPSILON) / (union + EPSILON) - (hull - union + EPSILON) / (hull + EPSILON)


def box_l1(boxes: Tensor, targets: Tensor) -> Tensor:
    """L1 distance summed over the four coordinates: [..., 4] each → [...]."""
    return F.l1_loss(*_same_shape(boxes, targets), reduction="none").sum(-1)


def _same_shape(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shape = a.shape if a.dim() >= b.dim() else b.shape
    return a.expand(shape), b.expand(shape)
