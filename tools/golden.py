"""Networks and inputs that are rebuilt from names alone, as the golden folder's README describes them.

A weight is a function of its name and shape, so a whole released network can be pinned without its weights.
"""

import json
import zlib
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import build_model
from models.criterion import Criterion
from models.tf2 import TF2
from opts import parse_settings
from util.checkpoint import load_weights
from util.settings import Settings
from util.structures import Clips, Target, Tokens

TEXT_CONFIGS = {
    "tiny": {"vocab_size": 1000, "num_hidden_layers": 2, "intermediate_size": 1536, "max_position_embeddings": 66},
    "base": {"vocab_size": 50265, "num_hidden_layers": 12, "intermediate_size": 3072, "max_position_embeddings": 514},
}
COMMON_TEXT_CONFIG = {
    "model_type": "roberta",
    "hidden_size": 768,
    "num_attention_heads": 12,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
SECOND_NAME = "transformer.decoder."  # bbox_embed.* is there twice, and is one module


def fill(name: str, shape: Iterable[int]) -> np.ndarray:
    """The float32 value of the entry `name`: uniform numbers seeded by the name's CRC-32, scaled by kind."""
    shape = tuple(int(side) for side in shape)
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    uniform = generator.random_sample(shape or 1).reshape(shape) * 2 - 1
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        filled = 1 + 0.2 * np.abs(uniform)
    elif len(shape) >= 2 and kind != "running_mean":
        filled = uniform * np.sqrt(3 / np.prod(shape[1:]))
    elif kind == "weight":
        filled = 1 + 0.1 * uniform
    else:
        filled = 0.1 * uniform
    return filled.astype(np.float32)


def wave_clip(name: str, length: int, height: int, width: int) -> np.ndarray:
    """float32 [length, 3, height, width]: six moving waves a channel, like a normalised video."""
    waves = fill(name, (3, 6, 5)).astype(np.float64)
    waves[..., 0] *= np.sqrt(5 / 3)
    y, x = np.mgrid[:height, :width]
    clip = np.zeros((length, 3, height, width))
    for t in range(length):
        for channel, channel_waves in enumerate(waves):
            for amplitude, along_x, along_y, phase, drift in channel_waves:
                angle = 0.35 * along_x * x + 0.35 * along_y * y + 6 * phase + 2.5 * drift * t
                clip[t, channel] += 2.6 * amplitude * np.sin(angle)
    return clip.astype(np.float32)


def disc_masks(name: str, length: int, height: int, width: int) -> np.ndarray:
    """bool [length, height, width]: a moving disc, the referred object's mask."""
    x0, y0, speed_x, speed_y = fill(name, (4,)) / 0.1
    y, x = np.mgrid[:height, :width]
    centres = [
        (width * (0.5 + 0.2 * x0 + 0.05 * speed_x * t), height * (0.5 + 0.2 * y0 + 0.05 * speed_y * t))
        for t in range(length)
    ]
    radius = 0.25 * min(height, width)
    return np.stack([(x - cx) ** 2 + (y - cy) ** 2 <= radius**2 for cx, cy in centres])


@dataclass(frozen=True)
class Case:
    """One entry of cases.json, with the defaults of the README."""

    name: str
    backbone: str
    frames: int
    sizes: list[list[int]]
    ids: list[list[int]]
    arch: str = "tf2"
    binary: bool = True
    text: str = "tiny"
    prev_frames: int | None = None
    valid_indices: list[int] | None = None
    valid: list[list[int]] | None = None
    grads: bool = False
    keys: bool = False

    @classmethod
    def read(cls, entry: dict[str, Any]) -> "Case":
        """An entry of cases.json; what this format does not know is left aside."""
        return cls(**{field.name: entry[field.name] for field in fields(cls) if field.name in entry})

    @property
    def key_list(self) -> str:
        multiclass = "" if self.binary else "-multiclass"
        return f"keys-{self.backbone}{multiclass}{'-base' if self.text == 'base' else ''}.json"

    def settings(self, text_folder: str) -> Settings:
        """The run's settings, through the flags that a user would give."""
        flags = ["--backbone", self.backbone, "--backbone_pretrained", "random", "--with_box_refine"]
        flags += ["--text_encoder", text_folder, "--freeze_text_encoder", "--resume", "golden"]
        flags += ["--binary"] if self.binary else []
        flags += ["--no_tracking"] if self.arch == "rf" else []
        return parse_settings(flags)

    def clips(self) -> Clips:
        return Clips.padded(
            [torch.from_numpy(wave_clip(f"clip{i}", self.frames, *s)) for i, s in enumerate(self.sizes)]
        )

    def reference(self) -> Clips | None:
        """Clips with everything outside a disc blacked out."""
        if self.arch == "rf":
            return None
        length = self.prev_frames or self.frames
        masked = [
            wave_clip(f"clip{i}", length, *size) * disc_masks(f"disc{i}", length, *size)[:, None]
            for i, size in enumerate(self.sizes)
        ]
        return Clips.padded([torch.from_numpy(clip) for clip in masked])

    def tokens(self) -> Tokens:
        return Tokens.padded(self.ids)

    def targets(self) -> list[Target]:
        length = self.frames if self.valid_indices is None else 1
        valid = self.valid or [[1] * length] * len(self.sizes)
        return [
            disc_target(disc_masks(f"target{i}", length, *size), np.array(frames, dtype=bool))
            for i, (size, frames) in enumerate(zip(self.sizes, valid, strict=True))
        ]


def disc_target(masks: np.ndarray, valid: np.ndarray) -> Target:
    """Boxes from the masks' extreme pixel indices; invalid frames have neither mask nor box."""
    masks = masks & valid[:, None, None]
    height, width = masks.shape[1:]
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for t in np.flatnonzero(valid):
        y, x = np.nonzero(masks[t])
        x1, x2, y1, y2 = x.min(), x.max(), y.min(), y.max()
        boxes[t] = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
    return Target(torch.tensor(0), torch.from_numpy(boxes), torch.from_numpy(masks), torch.from_numpy(valid))


def read_cases(folder: Path) -> list[dict[str, Any]]:
    """The network cases of a golden folder as they are written; none where it holds no cases.json."""
    path = folder / "cases.json"
    return json.loads(path.read_text()) if path.exists() else []


def filled_value(name: str, shape: list[int]) -> Tensor:
    """The value of a released entry; the decoder's second name for the box heads has the value of the first."""
    if name.startswith(f"{SECOND_NAME}bbox_embed."):
        name = name.removeprefix(SECOND_NAME)
    return torch.from_numpy(fill(name, shape))


def build_filled(case: Case, folder: Path) -> tuple[TF2, Criterion, dict[str, list[int]]]:
    """The case's network in evaluation mode with filled weights, its criterion, and the key list it was filled from."""
    keys = json.loads((folder / case.key_list).read_text())
    with TemporaryDirectory() as text_folder:
        config = COMMON_TEXT_CONFIG | TEXT_CONFIGS[case.text]
        (Path(text_folder) / "config.json").write_text(json.dumps(config))
        settings = case.settings(text_folder)
        model, criterion, _ = build_model(settings)
    computed = {name: tensor for name, tensor in model.state_dict().items() if not tensor.is_floating_point()}
    filled = {name: computed.get(name, filled_value(name, shape)) for name, shape in keys.items()}
    load_weights(model, {"model": filled, "args": Namespace(backbone=case.backbone)})
    return model.eval(), criterion, keys
