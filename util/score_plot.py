"""The network's scores over a video's frames as a PNG, key frames marked."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import numpy as np

from util.files import atomic_write
from util.track_record import TrackRecord
from util.visualize import distinct_colors

SENTENCE = 90  # letters of a sentence that the legend shows
MOST_TICKS = 10
MOST_DOTS = 60  # frames; of more, a line alone is clearer


def write_score_plot(names: Sequence[str], records: Sequence[TrackRecord], path: Path) -> None:
    """Draw each sentence's scores over the frames `names`; a frame whose mask was given leaves a gap, key frames have
    a star.

    Raises InputError where it cannot be written.
    """
    from matplotlib.figure import Figure  # half a second, for those alone who want pictures

    figure = Figure(figsize=(9, 3.2 + 0.22 * len(records)), layout="constrained")
    axes = figure.subplots()
    for record, color in zip(records, distinct_colors(len(records)), strict=True):
        hue = tuple(part / 255 for part in color)
        scores = np.array([record.scores[name] for name in names], dtype=float)  # None → NaN
        dots = "o" if len(names) <= MOST_DOTS else ""
        label = shorten(record.text, SENTENCE, placeholder=" …").replace("$", r"\$")
        axes.plot(scores, color=hue, marker=dots, markersize=3, linewidth=1.5, label=label)
        keys = [names.index(name) for name in record.key_frames]
        heights = [0 if np.isnan(scores[key]) else scores[key] for key in keys]
        axes.plot(keys, heights, "*", color=hue, markersize=14, markeredgecolor="black", clip_on=False, zorder=3)
    axes.set(ylim=(0, 1), xlabel="frame", ylabel="score")
    step = -(-len(names) // MOST_TICKS)
    axes.set_xticks(range(0, len(names), step), names[::step])
    axes.grid(alpha=0.3)
    figure.legend(
        loc="outside upper left",
        frameon=False,
        fontsize=9,
        title="★ key frame, scored without a reference",
        alignment="left",
    )
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
