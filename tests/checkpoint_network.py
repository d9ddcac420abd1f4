"""A tiny network with the names that matter to checkpoints, and what tests of their files and weights share."""

import pytest
import torch
from torch import nn

from util.checkpoint import load_weights
from util.errors import InputError

DECODER_BOX, BOX = "transformer.decoder.bbox_embed.", "bbox_embed."
POSITION_IDS = "text_encoder.embeddings.position_ids"


class Network(nn.Module):
    """The names that matter, tiny: a class head, box heads under two names, a computed buffer, a backbone."""

    def __init__(self, classes=1, width=4, refine=True):
        super().__init__()
        heads = [nn.Linear(width, 4) for _ in range(2 if refine else 1)]
        self.bbox_embed = nn.ModuleList(heads if refine else heads * 2)
        self.transformer = nn.Module()
        self.transformer.decoder = nn.Module()
        if refine:
            self.transformer.decoder.bbox_embed = self.bbox_embed
        self.class_embed = nn.ModuleList(nn.Linear(width, classes) for _ in range(2))
        self.backbone = nn.Linear(width, width)
        self.backbone.register_buffer("relative_position_index", torch.arange(width))


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        load_weights(Network(), path, **options)
    message = one_line(caught)
    assert str(path) in message
    return message


def assert_equal_states(one, other):
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
