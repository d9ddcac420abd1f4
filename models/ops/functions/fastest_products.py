"""Products by the fastest way of this CPU: AMX (products.py), else oneDNN (onednn_products.py).

A layer that `packed` made is of the way that was the fastest then.
"""

from typing import Any

from torch import Tensor

from . import onednn_products, products
from .onednn_products import OrderedLayer
from .products import PackedLayer

FastLayer = PackedLayer | OrderedLayer


def available(terms: int) -> bool:
    """Whether there is any, for numbers of so many terms (products.py)."""
    return products.available() or onednn_products.available(terms)


def packed(weight: Tensor, bias: Tensor | None = None, terms: int = 2) -> FastLayer:
    """As products.packed."""
    return (products.packed if products.available() else onednn_products.ordered)(weight, bias, terms)


def convolve(x: Tensor, layer: FastLayer, **steps: Any) -> Tensor:
    """As products.convolve."""
    return (products if isinstance(layer, PackedLayer) else onednn_products).convolve(x, layer, **steps)


def product(x: Tensor, layer: FastLayer, **steps: Any) -> Tensor:
    """As products.product."""
    return (products if isinstance(layer, PackedLayer) else onednn_products).product(x, layer, **steps)
