"""The released name of inference_ytvos.py."""

if __name__ == "__main__":  # before PyTorch, which takes seconds to import
    from util.interrupts import leave_on_signals

    leave_on_signals()

from inference_ytvos import main
from util.errors import exit_on_input_error

if __name__ == "__main__":
    exit_on_input_error(main)
