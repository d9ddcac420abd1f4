"""Curves as inline SVG: the scores of a track over its frames, and how many tracks score how much."""

from collections.abc import Sequence
from html import escape

import numpy as np

from tools.scoring.tracks import Track

WIDTH, HEIGHT = 240, 48  # of a curve, in CSS pixels
MOST_POINTS = 120  # of a line, so that a page of thousands of long tracks stays small
BINS = 20
J_COLOR, F_COLOR = "#2f9e44", "#845ef7"  # neither of them a mask's colour in the pictures
_GRID = "#999"


def score_curve(track: Track, width: int = WIDTH, height: int = HEIGHT) -> str:
    """J and F over time, from 0 at the bottom to 1 at the top, with a line at 0.5; each frame tells its figures."""
    middle = f'<line stroke="{_GRID}" stroke-width="0.5" x1="0" x2="{width}" y1="{height / 2}" y2="{height / 2}"/>'
    x = (np.arange(len(track.frames)) + 0.5) * width / len(track.frames)
    lines = "".join(_line(color, x, scores, height) for color, scores in ((F_COLOR, track.f), (J_COLOR, track.j)))
    return f'<svg class="curve" viewBox="0 0 {width} {height}" role="img">{_summary(track)}{middle}{lines}</svg>'


def histogram(values: Sequence[float], width: int = 480, height: int = 96) -> str:
    """How many of `values`, in [0, 1], lie in each twentieth."""
    counts, edges = np.histogram(values, bins=BINS, range=(0, 1))
    step, most = width / BINS, max(counts.max(), 1)
    bars = "".join(
        f'<rect x="{i * step + 1:.1f}" y="{height * (1 - count / most):.1f}" width="{step - 2:.1f}" '
        f'height="{height * count / most:.1f}"><title>{edges[i]:.2f} to {edges[i + 1]:.2f}: {count}</title></rect>'
        for i, count in enumerate(counts.tolist())
    )
    return f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" fill="{F_COLOR}">{bars}</svg>'


def _line(color: str, x: np.ndarray, scores: np.ndarray, height: int) -> str:
    if len(scores) > MOST_POINTS:
        first = np.linspace(0, len(scores), MOST_POINTS, endpoint=False).astype(int)
        x, scores = x[first], np.minimum.reduceat(scores, first)  # a short loss must not fall between the points
    # Two pixels of room, or the lines at 0 and 1 are cut in half.
    y = 2 + (1 - scores) * (height - 4)
    if len(x) == 1:
        return f'<circle fill="{color}" cx="{x[0]:.0f}" cy="{y[0]:.1f}" r="2"/>'
    points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<polyline fill="none" stroke="{color}" stroke-width="1.6" points="{points}"/>'


def _summary(track: Track) -> str:
    low = int((track.j + track.f).argmin())
    frames = f"{len(track.frames)} frames, {track.frames[0]} to {track.frames[-1]}"
    worst = f"lowest at {track.frames[low]}: J {track.j[low]:.2f}, F {track.f[low]:.2f}"
    return f"<title>{escape(frames)}; {escape(worst)}</title>"
