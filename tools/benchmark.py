"""Measure a part of the project against its plain counterpart, both in one run.

python tools/benchmark.py --what {inference,loader,operator,scores,training} [--data DIR] [--json FILE]
"""

import argparse
import importlib
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from util.errors import exit_on_input_error
from util.files import atomic_write

# Each is a module tools.bench.<name> with measure(args) -> figures; imported when asked for.
BENCHES = ("inference", "loader", "operator", "scores", "training")


def main() -> None:
    """Measure, print, and write the figures."""
    args = get_args_parser().parse_args()
    bench = importlib.import_module(f"tools.bench.{args.what}")
    figures = bench.measure(args) | {"torch": version("torch"), "machine": platform.processor() or platform.machine()}
    text = json.dumps(figures, indent=1)
    print(text)
    if args.json:
        with atomic_write(args.json) as temporary:
            temporary.write_text(text + "\n")


def get_args_parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", required=True, choices=BENCHES, help="what is measured")
    parser.add_argument("--data", type=Path, help="data set in Ref-YouTube-VOS layout; for scores, a DAVIS folder")
    parser.add_argument("--rounds", type=int, default=3, help="how often; medians are reported")
    parser.add_argument("--repeats", type=int, default=20, help="clips (or runs) a round")
    parser.add_argument("--backbone", default="resnet50", help="for inference and training")
    parser.add_argument("--sentences", type=int, default=1, help="for inference: sentences of the video")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="for inference: of our way")
    parser.add_argument("--frames", type=int, default=8, help="for inference: frames of the video")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser


if __name__ == "__main__":
    exit_on_input_error(main)
