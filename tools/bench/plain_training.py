"""Training without any shortcut, to measure against."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from models.feedforward import plain_feedforward
from models.recompute import everything_kept
from util.memory import keep_freed_memory, usual_memory

from .plain_inference import plain_operator


@contextmanager
def plain_training() -> Iterator[None]:
    """Within: the operator and feed-forwards step by step, nothing computed again, memory as the C library has it."""
    with ExitStack() as stack:
        stack.enter_context(plain_operator())
        stack.enter_context(everything_kept())
        for module in ("deformable_encoder", "vision_language"):
            stack.enter_context(patch(f"models.{module}.feedforward", plain_feedforward))
        stack.callback(keep_freed_memory)
        usual_memory()
        yield
