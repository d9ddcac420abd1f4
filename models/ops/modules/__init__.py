from .fused_attention import FusedDeformAttn
from .ms_deform_attn import MSDeformAttn

__all__ = ["FusedDeformAttn", "MSDeformAttn"]
