"""Several tracks of one video, asking one network: questions about the same frame are answered together.

So a frame's features are computed once for all sentences, and sentences fill a batch.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from .propagation import FrameResult, Question, Track, TrackedFrame

# (tracks, their questions) → answers. All questions are of one kind.
Answering = Callable[[Sequence[int], Sequence[Question]], Sequence[FrameResult]]


def converse(tracks: Sequence[Track], answer: Answering) -> Iterator[tuple[int, TrackedFrame]]:
    """Run the tracks to their ends; yields (track, what it says) as it is said."""
    waiting: dict[int, Question] = {}
    replies: dict[int, FrameResult | None] = dict.fromkeys(range(len(tracks)))
    while replies:
        for number, reply in replies.items():
            question = yield from _speak(number, tracks[number], reply)
            if question is not None:
                waiting[number] = question
        group = next_group(waiting)
        answers = answer(group, [waiting.pop(number) for number in group]) if group else ()
        replies = dict(zip(group, answers, strict=True))


def next_group(waiting: Mapping[int, Question]) -> list[int]:
    """The tracks whose questions come next: all that ask alike about one frame.

    Who asks forward comes first, and there the earliest frame; then backward, from the last frame. So tracks wait for
    those behind them and walk together from where they meet.
    """
    if not waiting:
        return []
    forward = {number: question for number, question in waiting.items() if not question.backward}
    first = (
        min(forward.values(), key=lambda question: question.index)
        if forward
        else max(waiting.values(), key=lambda question: question.index)
    )
    candidates = sorted((forward or waiting).items())
    return [number for number, question in candidates if question.kind == first.kind]


def _speak(
    number: int, track: Track, reply: FrameResult | None
) -> Generator[tuple[int, TrackedFrame], None, Question | None]:
    """Let a track go on to its next question, which is returned; None at its end."""
    try:
        said = track.send(reply)
        while isinstance(said, TrackedFrame):
            yield number, said
            said = next(track)
    except StopIteration:
        return None
    return said
