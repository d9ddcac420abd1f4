"""What one network knows of a video's frames for several sentences, before any track: computed together, and once.

S sentences; F frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from util.structures import Level, Text

from .frame_segmenter import FrameSegmenter, FrameState
from .propagation import FrameResult, Question
from .shared_frames import AHEAD, Cache, FramesReadAhead

BATCH = 4  # pairs of a frame and a sentence that go through the network at once


@dataclass(frozen=True)
class SentenceStates:
    """The states of one frame for some of the sentences, a row each."""

    sentences: tuple[int, ...]
    rows: FrameState

    def of(self, sentences: Sequence[int]) -> FrameState:
        """The rows of these sentences, in this order."""
        if tuple(sentences) == self.sentences:
            return self.rows
        return self.rows.take([self.sentences.index(sentence) for sentence in sentences])


class SharedStates:
    """States by frame, for tracks that pass the frame together or again; `limit` is in bytes.

    Candidates' states and levels are there again when a track passes them; of those, features of masks are made then.
    Levels, which no sentence changes, also serve sentences whose tracks pass a frame at different times.
    """

    def __init__(self, segmenter: FrameSegmenter, frames: FramesReadAhead, text: Text, limit: int):
        self.segmenter, self.frames, self.text = segmenter, frames, text
        self.levels: Cache[list[Level]] = Cache(limit // 2)
        self.states: Cache[SentenceStates] = Cache(limit // 2)

    def answer(self, sentences: Sequence[int], questions: Sequence[Question]) -> list[FrameResult]:
        """The questions of these sentences, all of one kind."""
        first, text = questions[0], self.text.take(sentences)
        self.frames.expect([first.index, *first.coming[:AHEAD]])
        state = self._state(first, sentences)
        if state.features is None and not first.score_only:
            state = self.segmenter.with_features(state, self._levels([first.index]), text)
        references = None if first.alone else [question.reference for question in questions]
        size = self.frames[first.index].shape[:2]
        return self.segmenter.answer(state, text, size, references)

    def _state(self, question: Question, sentences: Sequence[int]) -> FrameState:
        """The states of the asked frame; once a track has passed it, they are not needed again."""
        index = question.index
        if index not in self.states or not set(sentences) <= set(self.states[index].sentences):
            self._read(question, tuple(sentences))
        known = self.states[index]
        if not question.alone and set(sentences) == set(known.sentences):
            self.states.drop(index)
        return known.of(sentences)

    def _read(self, question: Question, sentences: tuple[int, ...]) -> None:
        """States of the asked frame, and of as many coming ones as fill a batch."""
        coming = (index for index in question.coming if index not in self.states)
        indices = [question.index, *coming][: max(BATCH // len(sentences), 1)]
        count, text = len(sentences), self.text.take(sentences * len(indices))
        levels = self._levels(indices, again=question.score_only)
        states = self.segmenter.read(levels, text, masks=not question.score_only)
        for place in reversed(range(len(indices))):  # the asked one last, so that it stays
            rows = states.take(range(place * count, (place + 1) * count))
            self.states.put(indices[place], SentenceStates(sentences, rows), rows.nbytes)

    def _levels(self, indices: Sequence[int], *, again: bool = False) -> list[Level]:
        """The levels of F frames, in this order; `again`: whether one sentence alone will need them once more."""
        missing = [index for index in indices if index not in self.levels]
        known = {index: self.levels[index] for index in indices if index in self.levels}
        if missing:
            looked = self.segmenter.look([self.frames.shrunk(index) for index in missing])
            if len(missing) == len(indices) and len(self.text.sentence) == 1 and not again:
                return looked  # nobody else will come by
            for place, index in enumerate(missing):
                known[index] = [level.take(range(place, place + 1)) for level in looked]
                self.levels.put(index, known[index], sum(level.features.nbytes for level in known[index]))
        return [Level.joined(same) for same in zip(*(known[index] for index in indices), strict=True)]
