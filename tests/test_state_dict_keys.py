"""The names and shapes of every released network are pinned: they are what checkpoints are made of."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import RobertaConfig

from models import build_network
from opts import parse_settings

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"
# Number of entries and digest of the sorted lines `name shape`, with the two-layer RoBERTa below, one class.
# Those of resnet50, swin_t and video_swin_t were compared with the released networks' own lists.
PINNED = {
    "resnet50": (644, "db5aba2798818de1"),
    "resnet101": (899, "73b2bdde0da838f5"),
    "swin_t_p4w7": (568, "e586a7d843ae6518"),
    "swin_s_p4w7": (736, "36156ec6e58aed51"),
    "swin_b_p4w7": (736, "db18224606e2d64e"),
    "swin_l_p4w7": (736, "83e539387760f535"),
    "video_swin_t_p4w7": (560, "2635677b3d26f184"),
    "video_swin_s_p4w7": (728, "28c62accad91e22e"),
    "video_swin_b_p4w7": (728, "3c235c684abce65c"),
}
SMALL_ROBERTA = {
    "vocab_size": 1000,
    "num_hidden_layers": 2,
    "intermediate_size": 1536,
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
}


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roberta")
    RobertaConfig(**SMALL_ROBERTA).save_pretrained(folder)
    return folder


def shapes(backbone, roberta, *flags):
    """name → shape of the state dict; on the meta device, since only names count."""
    settings = parse_settings(
        ["--backbone", backbone, "--with_box_refine", "--resume", "x", "--text_encoder", str(roberta), *flags]
    )
    with torch.device("meta"):
        return {name: list(tensor.shape) for name, tensor in build_network(settings).state_dict().items()}


def digest(entries):
    lines = "\n".join(sorted(f"{name} {shape}" for name, shape in entries.items()))
    return len(entries), hashlib.sha256(lines.encode()).hexdigest()[:16]


@pytest.mark.parametrize("backbone", PINNED)
def test_released_names(backbone, roberta):
    assert digest(shapes(backbone, roberta, "--binary")) == PINNED[backbone]


@pytest.mark.parametrize("backbone", ["resnet50", "swin_t_p4w7", "video_swin_t_p4w7"])
def test_the_pins_are_the_released_lists(backbone):
    path = GOLDEN / f"keys-{backbone}.json"
    if not path.exists():
        pytest.skip("the released networks' key lists are not beside this checkout")
    assert digest(json.loads(path.read_text())) == PINNED[backbone]


def test_the_class_head_is_the_only_difference_of_more_classes(roberta):
    one, many = shapes("resnet50", roberta, "--binary"), shapes("resnet50", roberta)
    assert {n for n in one if one[n] != many[n]} == {
        f"class_embed.{i}.{w}" for i in range(4) for w in ("weight", "bias")
    }
    assert many["class_embed.0.weight"] == [65, 256]
