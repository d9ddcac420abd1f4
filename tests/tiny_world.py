"""A working directory as the documentation means it: the checkout, every data set and checkpoint, all of it tiny."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import test_convert_refexp
import test_davis_converter
import test_paste_pairs
import test_referring_evaluation
import test_refexp
import test_ytvos

from tools import pack_model
from tools.make_untrained import SMALL, make_clip

ROOT = Path(__file__).parents[1]
CHECKOUT = ("docs", "models", "scripts", "tools", "Makefile", "requirements.txt")
CHECKPOINTS = ("checkpoint.pth", "pretrained.pth", "referformer.pth")
# Given after the documented flags: later ones win.
NETWORK = (*SMALL, "--text_encoder", "text_encoder", "--device", "cpu", "--num_workers", "0", "--ngpu", "1")
VIDEOS = ("--short_side", "64", "--key_candidates", "1")
TRAINING = ("--max_steps", "1", "--num_frames", "2", "--max_size", "64", "--batch_size", "1", "--recipe_batch", "0")
ALONE = ("--workers", "1")
TINY_FLAGS = {
    "main.py": (*NETWORK, *TRAINING),
    "demo.py": (*NETWORK, *VIDEOS),
    "inference_ytvos.py": (*NETWORK, *VIDEOS),
    "inference_frame_key.py": (*NETWORK, *VIDEOS),
    "inference_davis.py": (*NETWORK, *VIDEOS),
    "inference_a2d.py": NETWORK,
    "inference_jhmdb.py": NETWORK,
    "eval_davis.py": ALONE,
    "pack_model.py": ("--force",),  # random weights' masks may change
    "evaluate.py": ALONE,
    "paste_pairs.py": ("--pairs", "1", *ALONE),
    "make_synthetic.py": ("--videos", "1", "--valid", "1", "--test", "1", "--frames", "8", "--size", "64x96", *ALONE),
}


def write_world(root: Path, checkpoint: Path, text_encoder: Path) -> Path:
    """Everything that a documented command may read, under `root`; returns it."""
    for name in (*CHECKOUT, *(path.name for path in ROOT.glob("*.py"))):
        (root / name).symlink_to(ROOT / name)
    for name in CHECKPOINTS:
        shutil.copy(checkpoint, root / name)
    shutil.copytree(text_encoder, root / "text_encoder")
    model = ("--resume", checkpoint, "--text_encoder", text_encoder, "--output", root / "pretrained_weights/tf2_mini")
    pack_model.main([*map(str, model), "--force"])
    make_clip(root / "clip.mp4", frames=3, size=(60, 100))
    write_sets(root / "data")
    test_paste_pairs.write_clips(root / "my_videos")
    test_convert_refexp.write_refer(root / "refer" / "data")
    return root


def write_sets(data: Path) -> None:
    """Every data set of docs/data.md, Ref-DAVIS17 as downloaded."""
    videos = data / "ref-youtube-vos"
    test_ytvos.write_video(videos, "va", (1, 2))
    test_ytvos.lists(videos, va={"0": ("a dog", "1"), "1": ("the left cat", "2")})
    for part in ("", "meta_expressions/"):
        shutil.copytree(videos / f"{part}train", videos / f"{part}valid")
    test_davis_converter.write_davis(data / "ref-davis")
    test_referring_evaluation.write_a2d(data / "a2d_sentences")
    test_referring_evaluation.write_jhmdb(data / "jhmdb_sentences")
    test_refexp.write_sets(data / "coco")


def commands_of_script(words: list[str], environment: dict[str, str], folder: Path) -> list[list[str]]:
    """The Python command lines that a shell script would run, told by a Python that only notes them."""
    notes, speaker = folder / "commands.txt", folder / "speaker"
    speaker.write_text(f'#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done >>"{notes}"\necho >>"{notes}"\n')
    speaker.chmod(0o755)
    notes.write_text("")
    environment = os.environ | {"PYTHON": str(speaker), "GPUS": "1"} | environment
    done = subprocess.run(["bash", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return [command.split("\n") for command in notes.read_text().strip().split("\n\n")]


def run_python(words: list[str]) -> int:
    """Run `python WORDS` in this process, as small as can be; its exit code."""
    module = words[0] == "-m"
    program, flags = (words[1], words[2:]) if module else (words[0], words[1:])
    arguments = [program, *flags, *TINY_FLAGS.get(Path(program).name, ())]
    before, sys.argv = sys.argv, arguments
    try:
        run = runpy.run_module if module else runpy.run_path
        run(program, run_name="__main__")
    except SystemExit as left:
        return left.code or 0
    finally:
        sys.argv = before
    return 0
