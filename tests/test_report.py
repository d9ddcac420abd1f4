"""The report: well-formed, one file, no foreign word taken for HTML, small however large the set."""

from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.scoring import page as page_module
from tools.scoring.curves import J_COLOR, MOST_POINTS, histogram, score_curve
from tools.scoring.page import Page, Shot, Table, chosen_frames, html_of, write_report
from tools.scoring.pictures import WIDTH, data_uri, frame_or_blank
from tools.scoring.tracks import Track
from util.errors import InputError

EMPTY = {"meta", "img", "line", "rect", "circle", "polyline", "link", "br"}


class Reader(HTMLParser):
    """Collects elements and text; every element that is opened must be closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in EMPTY or self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.elements)


def track(video="dog", text="a dog", j=(0.9, 0.2, 0.5), **changes):
    values = np.array(j, dtype=float)
    frames = tuple(f"{5 * i:05d}" for i in range(len(values)))
    given = {"id": "0", "groups": ("motion",), "frames": frames, "f": values / 2} | changes
    return Track(video=video, text=text, j=values, **given)


def shot(track, index):
    image = np.full((60, 80, 3), 90, dtype=np.uint8)
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:30, 20:50] = True
    return Shot(image, mask, np.roll(mask, 5 * index, axis=1))


def page_of(*tracks, shot=shot, tables=()):
    return Page("results", ["a fact", ""], tables, tracks, shot)


def test_nothing_is_asked_of_any_server():
    page = html_of(page_of(track(), track("cat")))
    sources = [value for _, attrs in Reader(page).elements for key, value in attrs.items() if key in ("src", "href")]
    assert len(sources) == 12
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "://" not in page
    assert "default-src 'none'" in page


foreign = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20
) | st.sampled_from(["<script>alert(1)</script>", "</title><b>", '" onload="x', "&lt;", "]]>", "</style>", "<!--"])


@settings(max_examples=40, deadline=None)
@given(foreign, foreign, foreign)
def test_foreign_words_stay_words(video, text, kind):
    plain = Reader(html_of(page_of(track(), tables=[Table("t", ("c",), [("v",)])])))
    odd = track(video, text, id=video, groups=(kind,), frames=(text, kind, video))
    page = Page(text, [kind], [Table(kind, (text,), [(video,)])], [odd], shot)
    read = Reader(html_of(page))
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in plain.elements]
    assert all(word in read.text for word in (video, text, kind))


def test_half_a_surrogate_pair_does_no_harm(tmp_path):
    path = write_report(page_of(track(text="a \ud800 dog")), tmp_path)
    assert "dog" in path.read_text(encoding="utf-8")


def test_the_worst_come_first_and_are_few(monkeypatch):
    monkeypatch.setattr(page_module, "WORST", 2)
    monkeypatch.setattr(page_module, "MOST_CURVES", 3)
    tracks = [track(f"video{i}", j=(i / 10, i / 10)) for i in (7, 3, 9, 1)]
    read = Reader(html_of(page_of(*tracks)))
    assert read.count("section") == 2
    assert read.text.index("video1 / 0") < read.text.index("video3 / 0")
    assert "video9" not in read.text
    assert "3 of 4" in read.text


def test_a_page_of_thousands_stays_below_ten_megabytes():
    frames = np.random.default_rng(0).random((3_000, 500))
    page = html_of(
        page_of(*(track(f"v{i}", "a sentence of usual length, more or less", j=j) for i, j in enumerate(frames)))
    )
    assert len(page) < 10 << 20


def test_tables_alone_make_a_page():
    read = Reader(html_of(Page("a2d", [], [Table("Scores", ("measure", "score"), [("P@0.5", 0.25), ("images", 3)])])))
    assert read.count("svg") == 0
    assert "P@0.50.2500images3" in read.text.replace("\n", "")


def test_a_long_table_waits_folded():
    for rows, is_open in (3, True), (1_000, False):
        page = html_of(Page("t", [], [Table("Videos", ("", "J"), [("v", 0.5)] * rows)]))
        (attributes,) = [attributes for tag, attributes in Reader(page).elements if tag == "details"]
        assert ("open" in attributes) == is_open


def test_frames_are_the_worst_a_middling_and_the_best_in_time():
    assert chosen_frames(track(j=(0.5, 0.9, 0.1, 0.4, 0.6))) == [0, 1, 2]
    assert chosen_frames(track(j=(0.5,))) == [0]
    assert len(chosen_frames(track(j=(0.5, 0.5)))) == 2


def test_curves_rise_with_the_scores():
    (line,) = [
        a for tag, a in Reader(score_curve(track(j=(0, 0.5, 1), f=np.ones(3)))).elements if a.get("stroke") == J_COLOR
    ]
    heights = [float(point.split(",")[1]) for point in line["points"].split()]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3
    assert Reader(score_curve(track(j=(0.5,)))).count("circle") == 2


def test_a_short_loss_in_a_long_track_is_seen():
    scores = np.ones(10 * MOST_POINTS)
    scores[777] = 0
    (line,) = [
        a
        for _, a in Reader(score_curve(track(j=scores, f=np.ones(len(scores))))).elements
        if a.get("stroke") == J_COLOR
    ]
    heights = [float(point.split(",")[1]) for point in line["points"].split()]
    assert len(heights) == MOST_POINTS
    assert sorted(set(heights)) == [2, 46]


def test_the_histogram_counts_everything():
    bars = [a for tag, a in Reader(histogram([0, 0.5, 0.51, 1])).elements if tag == "rect"]
    assert len(bars) == 20
    assert [float(bars[i]["height"]) for i in (0, 10, 19)] == [48, 96, 48]


def test_a_frame_that_cannot_be_shown_is_grey(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"GIF89a")
    for name in "none.jpg", "broken.jpg":
        assert frame_or_blank(tmp_path / name, (4, 6)).std() == 0
    big = np.zeros((500, 4 * WIDTH, 3), dtype=np.uint8)
    uri = data_uri(big, np.ones((500, 4 * WIDTH), dtype=bool), (255, 0, 0))
    assert len(uri) < 10_000


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_report(page_of(track()), tmp_path / "file")
