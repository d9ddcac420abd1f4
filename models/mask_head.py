"""Masks by dynamic convolution: each query writes its own three 1×1 convolutions (spec §2, Heads; CondInst)."""

import itertools

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from .precision import at_least_float32

STRIDE = 4  # of the mask features


class DynamicMaskHead(nn.Module):
    """Applies queries' parameters to mask features and relative coordinates; has no parameters of its own."""

    def __init__(self, mask_dim: int, channels: int, rel_coord: bool = True, layers: int = 3):
        super().__init__()
        self.mask_dim, self.rel_coord = mask_dim, rel_coord
        widths = [mask_dim + 2 * rel_coord] + [channels] * (layers - 1) + [1]
        self.weight_shapes = [(b, a) for a, b in itertools.pairwise(widths)]

    @property
    def num_parameters(self) -> int:
        """How many numbers the controller writes for a query (2153 in the released networks)."""
        return sum(out * (inputs + 1) for out, inputs in self.weight_shapes)

    def forward(self, features: Tensor, parameters: Tensor, reference: Tensor) -> Tensor:
        """Mask logits of each query.

        features    [N, mask_dim, h, w] at stride 4
        parameters  [N, Q, num_parameters]: all weights, row-major [out, in], then all biases
        reference   [N, Q, 2] (x, y) in pixels of the input
        returns     [N, Q, h, w]
        """
        with torch.autocast(features.device.type, enabled=False):  # pixel coordinates need more than 8 bits
            return self._masks(at_least_float32(features), at_least_float32(parameters), at_least_float32(reference))

    def _masks(self, features: Tensor, parameters: Tensor, reference: Tensor) -> Tensor:
        weights, biases = self._split(parameters)
        height, width = features.shape[-2:]
        x = self._mixed(features, weights[0][..., : self.mask_dim])
        if self.rel_coord:
            relative = reference[..., None] - pixel_grid(height, width, features)
            x = x + weights[0][..., self.mask_dim :] @ relative
        x = x + biases[0][..., None]
        for weight, bias in zip(weights[1:], biases[1:], strict=True):
            x = weight @ x.relu() + bias[..., None]
        return rearrange(x, "n q 1 (h w) -> n q h w", h=height)

    def _mixed(self, features: Tensor, weights: Tensor) -> Tensor:
        """Features [N, C, h, w] in the first layer's proportions [N, Q, O, C] → [N, Q, O, h·w]."""
        return einsum(weights, rearrange(features, "n c h w -> n c (h w)"), "n q o c, n c s -> n q o s")

    def _split(self, parameters: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        sizes = [out * inputs for out, inputs in self.weight_shapes] + [out for out, _ in self.weight_shapes]
        parts = parameters.split(sizes, dim=-1)
        depth = len(self.weight_shapes)
        weights = [part.unflatten(-1, shape) for part, shape in zip(parts[:depth], self.weight_shapes, strict=True)]
        return weights, list(parts[depth:])


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """(x, y) of each stride-4 pixel's centre in input pixels, [2, h·w]."""
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return (torch.stack((x, y)).flatten(1) * STRIDE + STRIDE // 2).to(like.dtype)
