"""The released name of inference_ytvos.py."""

from inference_ytvos import main
from util.errors import exit_on_input_error

if __name__ == "__main__":
    exit_on_input_error(main)
