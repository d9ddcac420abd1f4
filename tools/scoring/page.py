"""The report: one HTML page with everything in it, and nothing asked of any server."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from tools.scoring.curves import F_COLOR, J_COLOR, histogram, score_curve
from tools.scoring.pictures import OURS, THEIRS, data_uri
from tools.scoring.tracks import Means, Track
from util.files import atomic_write

MOST_CURVES = 2_000  # a curve takes about a kilobyte
LONG_TABLE = 24  # rows; with more, a table waits folded
WORST = 12  # tracks that are shown in pictures
SHOTS = 3  # frames of each
J_AND_F = f'<b style="color:{J_COLOR}">J</b> and <b style="color:{F_COLOR}">F</b>'


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]


@dataclass(frozen=True)
class Shot:
    """A frame (RGB uint8 [H, W, 3]) with what was predicted and what is true (bool [H, W] each)."""

    image: np.ndarray
    prediction: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Page:
    """What the report shows.

    facts   sentences about what was scored and what was left out
    tables  of scores
    tracks  those whose curves are drawn, none for data sets of single frames
    shot    (track, index of a frame) → what to show of it; asked for the worst tracks alone
    """

    title: str
    facts: Sequence[str]
    tables: Sequence[Table]
    tracks: Sequence[Track] = ()
    shot: Callable[[Track, int], Shot] | None = None


def means_table(means: Mapping[str, Means], title: str) -> Table:
    """Name → means as a table."""
    rows = [(name, m.jf, m.j, m.f, m.tracks) for name, m in means.items()]
    return Table(title, ("", "J&F", "J", "F", "expressions"), rows)


def write_report(page: Page, folder: Path) -> Path:
    """Write `folder`/index.html and return its path. Raises InputError where it cannot be written."""
    path = folder / "index.html"
    with atomic_write(path) as temporary:
        # A sentence may hold half a surrogate pair, which JSON can spell and UTF-8 cannot.
        temporary.write_text(html_of(page), encoding="utf-8", errors="replace")
    return path


def html_of(page: Page) -> str:
    """The whole page."""
    worst_first = sorted(page.tracks, key=lambda track: track.means)
    parts = [
        f"<h1>{escape(page.title)}</h1>",
        *(f"<p>{escape(fact)}</p>" for fact in page.facts if fact),
        *(titled(table) for table in page.tables),
        *(_distribution(worst_first) if page.tracks else ()),
        *(_worst(page, worst_first[:WORST]) if page.shot else ()),
        *(_curves(worst_first) if page.tracks else ()),
    ]
    return document(page.title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A page of `parts`, which are HTML; pictures in it must be data URIs."""
    here = Path(__file__)
    style, script = (here.with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Whatever slips into the page, a browser fetches nothing for it.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )


def chosen_frames(track: Track) -> list[int]:
    """The worst frame, the middling one and the best one, in time: where the object was lost, and where not."""
    order = np.argsort(track.j + track.f, kind="stable")
    return sorted({int(order[i]) for i in np.linspace(0, len(order) - 1, SHOTS).round().astype(int)})


def titled(table: Table) -> str:
    """A table under its title; a long one waits folded."""
    open_ = " open" if len(table.rows) <= LONG_TABLE else ""
    rows = (map(_cell, row) for row in table.rows)
    return f"<details{open_}><summary>{escape(table.title)}</summary>\n{_table(table.columns, rows)}\n</details>"


def _table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """`rows` of cells that are HTML already."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="number">{value:.4f}</td>' if isinstance(value, float) else f'<td class="number">{value}</td>'


def _distribution(tracks: Sequence[Track]) -> Iterator[str]:
    yield f"<h2>J&amp;F of {len(tracks)} tracks, from 0 to 1</h2>"
    yield histogram([track.means[0] for track in tracks])


def _worst(page: Page, tracks: Sequence[Track]) -> Iterator[str]:
    yield f"<h2>The {len(tracks)} worst</h2>"
    yield (
        f"<p>The worst, a middling and the best frame of each, in time: "
        f'left <b style="color:rgb{OURS}">what was predicted</b>, right <b style="color:rgb{THEIRS}">what is true</b>. '
        f"Curves: {J_AND_F} over time.</p>"
    )
    for track in tracks:
        shots = "\n".join(_figure(page, track, index) for index in chosen_frames(track))
        head = f"<h3>{_name(track)}</h3>\n{score_curve(track, 480, 64)}"
        yield f'<section>\n{head}\n<div class="shots">{shots}</div>\n</section>'


def _figure(page: Page, track: Track, index: int) -> str:
    shot = page.shot(track, index)
    pictures = (
        f'<img src="{data_uri(shot.image, mask, color)}" alt="{alt}">'
        for mask, color, alt in ((shot.prediction, OURS, "prediction"), (shot.truth, THEIRS, "truth"))
    )
    caption = f"frame {track.frames[index]}: J {track.j[index]:.3f}, F {track.f[index]:.3f}"
    return f"<figure>{''.join(pictures)}<figcaption>{escape(caption)}</figcaption></figure>"


def _name(track: Track) -> str:
    text = f" “{track.text}”" if track.text else ""
    return escape(f"{track.video} / {track.id}{text}: J&F {track.means[0]:.3f}")


def _curves(tracks: Sequence[Track]) -> Iterator[str]:
    shown = tracks[:MOST_CURVES]
    yield f"<h2>Every track: {J_AND_F} over time</h2>"
    yield (
        f"<p>{len(shown)} of {len(tracks)}, the worst first; a click on a column's head sorts by it. "
        "The thin line is 0.5.</p>"
    )
    said = [name for name in ("sentence", "kind") if any(_said(track)[name] for track in shown)]
    rows = (
        [
            *map(_cell, (track.video, track.id, *(_said(track)[name] for name in said), *track.means)),
            f"<td>{score_curve(track)}</td>",
        ]
        for track in shown
    )
    yield _table(("video", "id", *said, "J&F", "J", "F", "over time"), rows)


def _said(track: Track) -> dict[str, str]:
    """What not every data set has."""
    return {"sentence": track.text, "kind": " ".join(track.groups)}
