"""A small untrained network and a clip, to run the whole way where no trained weights are: `make demo`, tests.

python -m tools.make_untrained --output DIR
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch

from models import build_model
from opts import parse_settings
from tools.make_text_encoder import make_text_encoder
from util.checkpoint_file import save_checkpoint
from util.errors import exit_on_input_error
from util.settings import Settings
from util.video_writer import VideoWriter

SENTENCES = (
    "the red ball that rolls to the right",
    "the blue ball that falls behind the others",
    "a small green square on the left",
)
SMALL = (
    *("--backbone", "timm:test_efficientnet", "--backbone_pretrained", "random", "--with_box_refine", "--binary"),
    *("--hidden_dim", "32", "--nheads", "4", "--dim_feedforward", "64", "--mask_dim", "32"),
    *("--enc_layers", "1", "--dec_layers", "2"),
)


def make_checkpoint(path: Path, text_encoder: Path, flags: Sequence[str] = SMALL, seed: int = 0) -> Settings:
    """An untrained checkpoint of the network that `flags` describe; returns the settings it was built with."""
    torch.manual_seed(seed)
    settings = parse_settings([*flags, "--text_encoder", str(text_encoder)])
    model, _, _ = build_model(settings)
    save_checkpoint(path, {"model": model.state_dict(), "args": asdict(settings.model)})
    return settings


def make_clip(path: Path, frames: int = 24, size: tuple[int, int] = (180, 320)) -> None:
    """An mp4 of `clip_images`."""
    with VideoWriter(path, fps=12) as movie:
        for image in clip_images(frames, size):
            movie.write(image)


def clip_images(frames: int, size: tuple[int, int] = (180, 320)) -> Iterator[np.ndarray]:
    """Things that move over a textured ground, what SENTENCES name: RGB uint8 [H, W, 3] of `size` (H, W)."""
    height, width = size
    noise = np.random.default_rng(0).integers(90, 150, (height // 10, width // 10, 1), dtype=np.uint8)
    ground = cv2.resize(noise.repeat(3, axis=2), (width, height), interpolation=cv2.INTER_CUBIC)
    for t in np.linspace(0, 1, frames):
        image = ground.copy()
        falling = (int(width * (0.5 + 0.1 * t)), int(height * (0.15 + 0.7 * t)))
        rolling = (int(width * (0.1 + 0.8 * t)), int(height * 0.6))
        corner = (width // 12, height // 2)
        cv2.circle(image, falling, height // 7, (40, 80, 220), -1)
        cv2.rectangle(image, corner, (corner[0] + height // 4, corner[1] + height // 4), (60, 180, 75), -1)
        cv2.circle(image, rolling, height // 6, (215, 50, 40), -1)
        yield image


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", required=True, type=Path, help="where clip, text encoder and checkpoint go")
    output = parser.parse_args().output
    make_text_encoder(output / "text_encoder", SENTENCES)
    make_checkpoint(output / "checkpoint.pth", output / "text_encoder")
    make_clip(output / "clip.mp4")
    print(f"{output}: a clip, and a small network whose weights are untrained: its masks mean nothing")
    return 0


if __name__ == "__main__":
    exit_on_input_error(main)
