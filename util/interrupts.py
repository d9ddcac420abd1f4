"""Ctrl-C and SIGTERM: one line, no traceback, exit code 130 or 143; in training after the state is saved.

It imports nothing heavy: programs start with it, so that an interrupt while PyTorch is imported ends as quietly.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds. A launcher such as torchrun passes on to its processes what the terminal has sent them already: no second
# wish of the user's.
ECHO = 2.0
SAID = b"interrupted: finished work is kept; the same command goes on from there\n"


class Held:
    """The signal that came while signals were held, if one did."""

    number: int = 0

    def __init__(self) -> None:
        self._at = 0.0

    def note(self, number: int, _: FrameType | None) -> None:
        """A handler: the first signal is noted; a later one, that is not its echo, is not waited for."""
        if self.number and time.monotonic() - self._at > ECHO:
            leave(number)
        if not self.number:
            self.number, self._at = number, time.monotonic()


def leave(number: int, _: FrameType | None = None, *, said: bytes = SAID) -> NoReturn:
    """End the program, as a handler or by its own will: raises SystemExit with the shell's code for signal `number`.

    On the way out things are put in order, which an echo does not cut short; a later signal does.
    """
    began = time.monotonic()

    def again(number: int, _: FrameType | None) -> None:
        if time.monotonic() - began > ECHO:
            os._exit(128 + number)

    for other in SIGNALS:
        signal.signal(other, again)
    os.write(2, said)  # print() cannot be entered twice, and a signal may come within it
    raise SystemExit(128 + number)


def leave_on_signals() -> None:
    """From now on both signals end the program so."""
    for number in SIGNALS:
        signal.signal(number, leave)


@contextmanager
def leaving_on_signals(said: bytes = SAID) -> Iterator[None]:
    """The same for a block, with a last word of its own; outside the main thread, where Python allows no handlers,
    nothing changes.
    """
    with _handling(partial(leave, said=said)):
        yield


@contextmanager
def held_signals() -> Iterator[Held]:
    """Signals wait within the block: who runs it looks at `Held.number` where it can stop, and then calls `leave`."""
    held = Held()
    with _handling(held.note):
        yield held


@contextmanager
def _handling(handler) -> Iterator[None]:  # noqa: ANN001  (what signal.signal takes has no public name)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            if signal.getsignal(number) == handler:  # else the program is leaving
                signal.signal(number, old)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started within the block never get Ctrl-C: it is for the one that started them to end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
