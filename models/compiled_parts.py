"""Inference through torch.compile (`--compile`), for GPUs: the parts that most of the time goes into.

They are compiled one by one, at their first call for a frame size; what is asked of tensors between them stays Python.
On CPUs the packed layers, which no compiler sees into, are the faster way (inference_layers.py).
"""

from .tf2 import TF2


def compile_parts(network: TF2, backend: str = "inductor") -> None:
    """Change a network in place: backbone, encoder and pixel decoder are compiled. Results differ by rounding alone."""
    for part in (*network.backbone, network.transformer.encoder, network.pixel_decoder):
        part.compile(backend=backend, dynamic=False)
