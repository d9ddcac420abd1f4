"""Multi-scale deformable attention: one function, whatever computes it."""

from .ms_deform_attn import ms_deform_attn

__all__ = ["ms_deform_attn"]
