"""Tries of bad input: each must end in an answer or in one line that names the file and the cure, and is counted.

Whatever else a reader raises passes through and fails the test; a hang does too, in its way.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.counts import record
from util.errors import InputError

TRIES = int(os.environ.get("TF2_FAULT_TRIES", "3"))  # of each fault; `make faults` asks for more
EXAMPLES = 8 * TRIES
# Words by which our messages say what to do, or what should be there.
CURE = re.compile(
    r"\b(add|check|choose|convert|delete|download|fetch|get|give|leave|list|make|mend|must|needs?|needed|rename|run|save|"
    r"shorten|take|taken|to score|write|is it|holds?|get the)\b"
)


class Tries:
    """What was tried of one fault, and how it went."""

    def __init__(self) -> None:
        self.tried = self.survived = 0
        self.seen = "the right answer"

    def refused(self, read: Callable[[], Any], *names: str) -> str:
        """`read` must refuse, and say each of `names`; returns the message."""
        self.tried += 1
        try:
            answer = read()
        except InputError as error:
            return self._one_line(error, names)
        raise AssertionError(f"was taken: {answer!r}"[:500])

    def settled(self, read: Callable[[], Any], *names: str, right: Callable[[Any], bool] = lambda _: True) -> None:
        """`read` refuses in that way, or its answer is right."""
        self.tried += 1
        try:
            answer = read()
        except InputError as error:
            self._one_line(error, names)
            return
        assert right(answer), f"a wrong answer: {answer!r}"[:500]
        self.survived += 1

    def each(self, cases: st.SearchStrategy, attempt: Callable[[Any], None]) -> None:
        """EXAMPLES cases of hypothesis; always the same ones, but where more are asked for."""

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=TRIES <= 3,
            suppress_health_check=list(HealthCheck),
        )
        @given(cases)
        def run(case: Any) -> None:
            attempt(case)

        run()

    def _one_line(self, error: InputError, names: tuple[str, ...]) -> str:
        text = str(error)
        assert text.isprintable(), text
        assert all(name in text for name in names), text
        assert CURE.search(text), f"no cure: {text}"
        self.survived += 1
        self.seen = f"error: {text[:160]}"
        return text


@contextmanager
def tally(fault: str) -> Iterator[Tries]:
    """Tries of `fault`, counted for the table when they are over."""
    tries = Tries()
    try:
        yield tries
    finally:
        record(fault, tries.tried, tries.survived, re.sub(r"/\S*/", "…/", tries.seen))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file cut off, with bytes changed, taken out, put in, or blanked."""
    kind = draw(st.sampled_from(("cut", "cut", "change", "change", "change", "remove", "insert", "blank")))
    at = draw(st.integers(0, len(whole) - 1))
    if kind == "cut":
        return whole[:at]
    if kind == "change":
        data = bytearray(whole)
        for place in (at, *draw(st.lists(st.integers(0, len(whole) - 1), max_size=3))):
            data[place] ^= draw(st.integers(1, 255))
        return bytes(data)
    size = draw(st.integers(1, 40))
    middle = {"remove": b"", "insert": draw(st.binary(min_size=1, max_size=size)), "blank": bytes(size)}[kind]
    return whole[:at] + middle + whole[at + (0 if kind == "insert" else size) :]


STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 10**400, 1e308, float("nan"), float("inf"), "", " ", ".", "..", "../..", "/etc/passwd",
    "a\0b", "C:\\x", "\\\\server\\x", "x" * 3000, "9" * 5000, "\ud800", "\u202e🐕", "Ünï 狗", [], {}, [[]], {"": None},
    ["x"], [1e999],
)  # fmt: skip


@st.composite
def rewritten(draw: st.DrawFn, content: Any) -> Any:
    """JSON content with one value, at any depth, replaced by a strange one, or taken out."""
    places = list(_places(content))
    place = draw(st.sampled_from(places))
    new = draw(st.sampled_from(STRANGE) | st.integers() | st.text(max_size=20))
    return _replaced(content, place, new, remove=draw(st.booleans()) and bool(place))


def _places(content: Any, place: tuple = ()) -> Iterator[tuple]:
    yield place
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield from _places(content[key], (*place, key))


def _replaced(content: Any, place: tuple, new: Any, *, remove: bool) -> Any:
    if not place:
        return new
    key, *rest = place
    copy = dict(content) if isinstance(content, dict) else list(content)
    if remove and not rest:
        del copy[key]
    else:
        copy[key] = _replaced(content[key], tuple(rest), new, remove=remove)
    return copy


def put(path: Path, data: bytes) -> Path:
    """Write a file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
