"""ResNet's blocks with frozen norms, trained in fewer passes: a norm's scale goes into the weights before it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d


class FrozenBottleneck(Bottleneck):
    """torchvision's, with `FrozenBatchNorm2d`. Under autocast, what flows from block to block is in its type."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, O, h, w]."""
        if not torch.is_grad_enabled():
            return super().forward(x)  # where inference sees which norm follows which convolution
        shortcut = x if self.downsample is None else normed_conv(x, *self.downsample)
        y = F.relu(normed_conv(x, self.conv1, self.bn1), inplace=True)
        y = F.relu(normed_conv(y, self.conv2, self.bn2), inplace=True)
        return F.relu(normed_conv(y, self.conv3, self.bn3) + shortcut, inplace=True)


def normed_conv(x: Tensor, conv: nn.Conv2d, norm: FrozenBatchNorm2d) -> Tensor:
    """norm(conv(x)) of a convolution without bias, in one pass; gradients reach the convolution's own weights."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    bias = norm.bias - norm.running_mean * scale
    weight = conv.weight * scale[:, None, None, None]
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)
