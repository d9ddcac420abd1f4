"""Errors that are the user's to mend: one clear line and exit code 2 instead of a traceback."""

import sys
from collections.abc import Callable

from util.interrupts import SAID, leaving_on_signals
from util.names import printable

LONGEST_MESSAGE = 4000  # characters: what it quotes of a file may be of any length


class InputError(Exception):
    """Something given to the program is wrong. The message says what, in which file, and what to do.

    As text it is one line of printable characters, whatever it quotes: a terminal obeys some of the others.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > LONGEST_MESSAGE:
            text = f"{text[: LONGEST_MESSAGE // 2]} … {text[-LONGEST_MESSAGE // 2 :]}"
        return printable(text)


class OutputError(InputError):
    """A place that cannot be written: no other video will fare better, so the run stops."""


def exit_on_input_error(program: Callable[[], int | None]) -> None:
    """Run `program` and leave the process with its exit code: 0 done, 2 input to mend, 130 or 143 interrupted."""
    try:
        with leaving_on_signals():
            code = program() or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print(SAID.decode(), end="", file=sys.stderr)
        code = 130
    sys.exit(code)
