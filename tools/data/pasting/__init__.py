"""The object of one clip pasted into another: `compose` is the pure part, for training as well as for the tool."""

from .compose import PastePath, compose

__all__ = ["PastePath", "compose"]
