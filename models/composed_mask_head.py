"""The mask head and the convolution before it as one, for inference: few queries need few of its output channels.

Both are linear up to the mask head's first ReLU. With one query, a convolution to 8 channels takes the place of one to
256 (and of the product with the 8×256 weights that the query wrote).
"""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn

from .mask_head import DynamicMaskHead
from .ops.functions import fastest_products


class ComposedMaskHead(DynamicMaskHead):
    """DynamicMaskHead on what goes into `convolution`, whose output the head would have been given.

    terms: of packed numbers (ops/functions/products.py); None: PyTorch's own convolution
    """

    def __init__(self, head: DynamicMaskHead, convolution: nn.Conv2d, terms: int | None):
        nn.Module.__init__(self)
        self.mask_dim, self.rel_coord, self.weight_shapes = head.mask_dim, head.rel_coord, head.weight_shapes
        self.convolution, self.terms = convolution, terms

    def _mixed(self, features: Tensor, weights: Tensor) -> Tensor:
        convolution = self.convolution
        kernels = einsum(weights, convolution.weight, "n q o d, d c y x -> n q o c y x").flatten(1, 2)
        biases = einsum(weights, convolution.bias, "n q o d, d -> n q o").flatten(1, 2)
        maps = self._convolve(features, kernels, biases)
        return rearrange(maps, "n (q o) h w -> n q o (h w)", q=weights.shape[1])

    def _convolve(self, features: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
        """Each image by its own kernels: [N, C, h, w], [N, K, C, y, x] and [N, K] → [N, K, h, w]."""
        steps = {"padding": self.convolution.padding}
        if self.terms is None:
            count, images = kernels.shape[1], rearrange(features, "n c h w -> 1 (n c) h w")
            maps = F.conv2d(images, kernels.flatten(0, 1), biases.flatten(), groups=len(kernels), **steps)
            return rearrange(maps, "1 (n k) h w -> n k h w", k=count)
        layers = [fastest_products.packed(*one, self.terms) for one in zip(kernels, biases, strict=True)]
        maps = [fastest_products.convolve(x[None], own, **steps) for x, own in zip(features, layers, strict=True)]
        return maps[0] if len(maps) == 1 else torch.cat(maps)
