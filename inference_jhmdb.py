"""JHMDB-Sentences: segment its chosen frames with a network trained on A2D-Sentences, and score them (spec §4, §6).

python inference_jhmdb.py --with_box_refine --binary --resume CHECKPOINT --jhmdb_path DIR --output_dir DIR
"""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

from util.errors import exit_on_input_error
from util.referring_evaluation import evaluation_program


def main() -> int:
    """The whole run."""
    return evaluation_program("jhmdb", __doc__)


if __name__ == "__main__":
    exit_on_input_error(main)
