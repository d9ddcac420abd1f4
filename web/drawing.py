"""A result as HTML: the frame, the sentences in their colours, and each one's score over time."""

import base64
from collections.abc import Sequence
from html import escape

from util.visualize import distinct_colors
from web.jobs import FILM, MASKS, Result, Sentence

WIDTH, HEIGHT, MARGIN = 640, 150, 8  # of the plot, in its own units


def stage(picture: bytes, words: str) -> str:
    """A JPEG with words (HTML) below it; it travels inside the page, so that no address serves it."""
    data = base64.b64encode(picture).decode()
    image = f'<img alt="{words}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"


def result_stage(result: Result, index: int) -> str:
    """Frame `index` of a result."""
    keys = [f"«{escape(s.text)}»" for s in result.sentences if s.key_frame == index]
    words = f"Frame {index} of 0–{result.frames - 1}" + (f" · key frame of {', '.join(keys)}" if keys else "")
    return stage(result.picture(index), words)


def score_panel(result: Result, index: int) -> str:
    """Each sentence's colour, key frame and score on frame `index`, above the scores of all frames."""
    colors = [f"rgb{color}" for color in distinct_colors(len(result.sentences))]
    rows = "".join(_row(s, color, index) for s, color in zip(result.sentences, colors, strict=True))
    head = "<tr><th></th><th>sentence</th><th>key frame</th><th>score here</th></tr>"
    return f'<table class="scores">{head}{rows}</table>{_plot(result, colors, index)}'


def downloads(address: str) -> str:
    """Links to a result's files under `address`."""
    links = ((MASKS, "Masks and scores (zip)"), (FILM, "Overlay video (mp4)"))
    return "".join(f'<a class="file" href="{address}/{name}" download="{name}">⬇ {words}</a>' for name, words in links)


def _row(sentence: Sentence, color: str, index: int) -> str:
    score = sentence.scores[index]
    shown = ("–" if score is None else f"{score:.2f}") + (" ★" if sentence.key_frame == index else "")
    key = "–" if sentence.key_frame is None else f"{sentence.key_frame}"
    spot = f'<span class="spot" style="background:{color}"></span>'
    return f"<tr><td>{spot}</td><td>{escape(sentence.text)}</td><td>{key}</td><td>{shown}</td></tr>"


def _plot(result: Result, colors: Sequence[str], index: int) -> str:
    """Scores from 0 to 1 over the frames, a star-like dot at each key frame, a line at frame `index`."""
    parts = [_line(_x(0, 1), _y(level), _x(1, 1), _y(level), "grid") for level in (0, 0.5, 1)]
    last = max(1, result.frames - 1)
    for sentence, color in zip(result.sentences, colors, strict=True):
        known = [(i, score) for i, score in enumerate(sentence.scores) if score is not None]
        points = " ".join(f"{_x(i, last):.1f},{_y(score):.1f}" for i, score in known)
        parts.append(f'<polyline points="{points}" stroke="{color}"/>')
        parts += [_dot(_x(i, last), _y(score), color) for i, score in known if i == sentence.key_frame]
    parts.append(_line(_x(index, last), 0, _x(index, last), HEIGHT, "here"))
    words = f"Score of each sentence on frames 0 to {result.frames - 1}"
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{words}">{"".join(parts)}</svg>'
    below = f"{words}; dots: key frames, scored without a reference."
    return f'<div class="plot"><span>1</span>{drawn}<span>0</span></div><p class="said">{below}</p>'


def _x(index: float, last: float) -> float:
    return MARGIN + (WIDTH - 2 * MARGIN) * index / last


def _y(score: float) -> float:
    return MARGIN + (HEIGHT - 2 * MARGIN) * (1 - score)


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _dot(x: float, y: float, color: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>'
