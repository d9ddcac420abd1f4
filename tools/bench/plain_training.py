"""Training without any shortcut, to measure against."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from torch import nn
from torchvision.models.resnet import Bottleneck

from models.feedforward import plain_feedforward
from models.recompute import everything_kept
from util.memory import keep_freed_memory, usual_memory

from .plain_inference import plain_operator


@contextmanager
def plain_training() -> Iterator[None]:
    """Within: operator, feed-forwards, norms, dropout and memory as PyTorch has them, and nothing computed again."""
    with ExitStack() as stack:
        stack.enter_context(plain_operator())
        stack.enter_context(everything_kept())
        for module in ("deformable_encoder", "vision_language"):
            stack.enter_context(patch(f"models.{module}.feedforward", plain_feedforward))
        stack.enter_context(patch("models.frozen_bottleneck.FrozenBottleneck.forward", Bottleneck.forward))
        stack.enter_context(patch("models.dropout.Dropout.forward", nn.Dropout.forward))
        stack.callback(keep_freed_memory)
        usual_memory()
        yield
