"""The web page without a browser: limits, what is no video, sessions, what is served, and the queue."""

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="no Gradio: pip install -r requirements-web.txt")
from web_server import LIMITS, RefusedError, Visitor, serving, until

import demo
from tools.make_untrained import make_clip
from util.errors import InputError
from web import flags
from web.guard import is_plain
from web.video_check import inspect_video

pytest_plugins = ["web_server"]  # server and clip
pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = "the red ball\n\n  a   small green square "


@pytest.fixture
def visitor(served):
    visitor = Visitor(served)
    yield visitor
    visitor.http.close()


def files_of(visitor, served):
    return [path for path in (served.root / visitor.session.split("/")[1]).rglob("*") if path.is_file()]


# ---- limits


def test_sentences_are_lines():
    assert LIMITS.sentences(TEXTS) == ["the red ball", "a small green square"]


@pytest.mark.parametrize(
    ("text", "said"), [(" \n ", "at least one"), ("a\n" * 4, "at most 3"), ("a " * 40, "79 characters")]
)
def test_sentences_over_a_limit(text, said):
    with pytest.raises(InputError, match=said):
        LIMITS.sentences(text)


def test_a_video_is_counted(clip):
    facts = inspect_video(clip, LIMITS)
    assert (facts.frames, facts.height, facts.width) == (6, 60, 100)


@pytest.mark.parametrize(
    ("frames", "size", "said"),
    [(21, (60, 100), "more than 20 frames"), (1, (240, 428), "428×240"), (1, (16, 176), "too narrow")],
)
def test_videos_over_a_limit(tmp_path, frames, size, said):
    make_clip(tmp_path / "clip.mp4", frames, size)
    with pytest.raises(InputError, match=said):
        inspect_video(tmp_path / "clip.mp4", LIMITS)


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
HIDDEN = b"\x00\x00\x00\x18ftypmp42" + PLAYLIST.encode()


@pytest.mark.parametrize(
    "content",
    [b"plain text", PLAYLIST.encode(), b"ffconcat version 1.0\nfile '/etc/passwd'\n", b"", HIDDEN, b"\x00" * 500],
)
def test_what_is_no_video(tmp_path, content):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(InputError) as refused:
        inspect_video(tmp_path / "clip.mp4", LIMITS)
    assert str(tmp_path) not in str(refused.value), "the visitor is not told where the server keeps things"


def test_a_picture_in_a_video_s_clothes(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "clip.mp4", "PNG")
    with pytest.raises(InputError, match="not a video"):
        inspect_video(tmp_path / "clip.mp4", LIMITS)


# ---- the way through


def test_from_a_video_to_its_files(visitor, clip):
    assert visitor.send(clip.read_bytes()) == "6 frames of 100×60 pixels"
    assert "data:image/jpeg" in visitor.ask("received")[0]
    stage, slider, scores, files = visitor.segment(TEXTS)
    assert "Frame" in stage
    assert slider["maximum"] == 5
    assert scores.count("<polyline") == 2
    assert scores.count("<circle") == 2
    assert any(message["msg"] == "progress" for message in visitor.heard)
    for name in ("masks.zip", "overlay.mp4"):
        assert f'href="{visitor.session}/{name}"' in files
    other_frame, other_scores = visitor.ask("show", 3)
    assert "Frame 3 of 0–5" in other_frame
    assert other_frame != visitor.ask("show", 4)[0]
    assert other_scores != scores
    with zipfile.ZipFile(io.BytesIO(visitor.http.get(f"/{visitor.session}/masks.zip").content)) as archive:
        masks = [name for name in archive.namelist() if name.startswith("masks/")]
        assert len(masks) == 2 * 6
        with Image.open(archive.open(masks[0])) as mask:
            assert (mask.mode, mask.size) == ("L", (100, 60))
            assert set(np.unique(mask)) <= {0, 255}
        record = json.loads(archive.read("scores/0-the-red-ball.json"))
    assert len(record["scores"]) == 6
    with av.open(io.BytesIO(visitor.http.get(f"/{visitor.session}/overlay.mp4").content)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 6


def test_the_sample(visitor):
    text, stage, *_ = visitor.ask("take_sample")
    assert len(text.splitlines()) == 2
    assert "data:image/jpeg" in stage


def test_what_is_written_is_shown_and_not_run(visitor, clip):
    visitor.send(clip.read_bytes())
    stage, _, scores, _ = visitor.segment("<b onload=x>${1+1}</b>")
    assert "<b " not in stage + scores
    assert "&lt;b " in scores


def test_what_is_missing_is_said(visitor, clip):
    with pytest.raises(RefusedError, match="Drop a video first"):
        visitor.segment("a ball")
    with pytest.raises(RefusedError, match="Drop a video first"):
        visitor.ask("show", 0)
    visitor.send(clip.read_bytes())
    with pytest.raises(RefusedError, match="at least one sentence"):
        visitor.segment("")


def test_what_is_refused_is_not_kept(visitor, served, clip):
    visitor.send(clip.read_bytes())
    kept = files_of(visitor, served)
    for content, said in ((b"some text", "not a video"), (b"\x00" * (10**6 + 1), "larger than 1 MB")):
        with pytest.raises(RefusedError, match=said):
            visitor.send(content)
    assert files_of(visitor, served) == kept
    assert visitor.segment("a ball"), "the video from before is still there"


def test_another_video_takes_the_old_one_s_place(visitor, served, clip):
    visitor.send(clip.read_bytes())
    visitor.segment("a ball")
    visitor.send(clip.read_bytes())
    assert len(files_of(visitor, served)) == 1
    assert visitor.http.get(f"/{visitor.session}/masks.zip").status_code == 400


def test_another_video_while_one_waits(visitor, served, clip, monkeypatch):
    """The old one is gone: the visitor is told so, and not where it was."""
    visitor.send(clip.read_bytes())
    check = served.tracker.check_caption
    monkeypatch.setattr(served.tracker, "check_caption", lambda text: check(text) or visitor.send(clip.read_bytes()))
    with pytest.raises(RefusedError, match="took this one's place"):
        visitor.segment("a ball")


# ---- what is kept, and what is served


def test_a_visitor_who_leaves_leaves_nothing(visitor, served, clip):
    with visitor.present():
        visitor.send(clip.read_bytes())
        visitor.segment("a ball")
        assert files_of(visitor, served)
    until(lambda: not (served.root / visitor.session.split("/")[1]).exists())
    with pytest.raises(RefusedError, match="ended"):
        visitor.ask("show", 0)


def test_a_visitor_who_leaves_ends_the_job(visitor, served, clip):
    visitor.send(clip.read_bytes())
    started, go_on = [], []
    tracker = served.tracker
    track = tracker.track_together

    def slow(*arguments):
        for step in track(*arguments):
            started.append(step)
            until(lambda: go_on)
            yield step

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as thread:
        patch.setattr(tracker, "track_together", slow)
        with visitor.present():
            result = thread.submit(Visitor.segment, visitor, "a ball")
            until(lambda: started)
        go_on.append(True)
        until(lambda: not (served.root / visitor.session.split("/")[1]).exists())
        assert len(started) <= 3, "not all six frames"
        visitor.http.close()
        result.exception()


def test_nothing_is_left_when_the_server_stops(tracker, tmp_path, clip):
    with serving(tracker, tmp_path / "root") as server:
        visitor = Visitor(server)
        visitor.send(clip.read_bytes())
        visitor.segment("a ball")
        assert any(server.root.rglob("*.png"))
        visitor.http.close()
    assert list(tmp_path.iterdir()) == []


def test_gradio_serves_and_takes_no_file(visitor, served, clip):
    visitor.send(clip.read_bytes())
    mine = next(path for path in files_of(visitor, served))
    for path in (mine, "/etc/passwd", Path(demo.__file__), "https://example.com"):
        for route in ("file=", "file/", "proxy=", "stream/"):
            assert visitor.http.get(f"/gradio_api/{route}{path}").status_code == 404
    for path in ("/gradio_api/upload", "/gradio_api/process_recording", "/gradio_api/deep_link", "/monitoring"):
        assert visitor.http.post(path, files={"files": b"x"}).status_code == 404
    assert not (served.root / "gradio").exists()


@pytest.mark.parametrize("name", ["video", "..%2f..%2fsample", "00000.jpg", "%2e%2e/masks.zip", "..%2fmasks.zip"])
def test_a_session_serves_its_results_alone(visitor, clip, name):
    visitor.send(clip.read_bytes())
    visitor.segment("a ball")
    assert visitor.http.get(f"/{visitor.session}/{name}").status_code >= 400


def test_nobody_sees_another_s(visitor, served, clip):
    visitor.send(clip.read_bytes())
    visitor.segment("a ball")
    other = Visitor(served)
    assert other.session != visitor.session
    for address in (other.session, "session/guessed", f"session/{visitor.name}"):
        assert other.http.get(f"/{address}/masks.zip").status_code == 400
    with pytest.raises(RefusedError, match="Drop a video first"):
        other.ask("show", 0)


def test_events_carry_no_files(visitor):
    assert is_plain(b'{"data": ["a", 1, null]}')
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    for data in ([file], [[file]], [{"path": "https://example.com/x", "meta": {"_type": "gradio.FileData"}}], file):
        assert not is_plain(json.dumps({"data": data}).encode())
        body = visitor.body("segment", []) | {"data": data}
        assert visitor.http.post("/gradio_api/queue/join", json=body).status_code == 400
        assert visitor.http.post("/gradio_api/run/predict", json=body).status_code == 400


def test_browsers_are_told_to_fetch_nothing_elsewhere(visitor):
    page = visitor.http.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "fonts.googleapis" not in page.text + visitor.http.get("/theme.css").text
    assert visitor.http.get("/config").json()["analytics_enabled"] is False


# ---- the queue


def test_eight_at_once_are_served_one_after_the_other(served, clip, monkeypatch):
    tracker, running, most = served.tracker, [], []
    track = tracker.track_together

    def counted(*arguments):
        running.append(1)
        most.append(len(running))
        yield from track(*arguments)
        running.pop()

    monkeypatch.setattr(tracker, "track_together", counted)
    visitors = [Visitor(served) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda visitor: visitor.send(clip.read_bytes()), visitors))
        results = list(threads.map(lambda visitor: visitor.segment("a ball"), visitors))
    assert len(results) == 8
    assert most == [1] * 8
    assert any(m["msg"] == "estimation" and m["rank"] > 0 for visitor in visitors for m in visitor.heard)
    for visitor in visitors:
        assert visitor.http.get(f"/{visitor.session}/masks.zip").status_code == 200
        visitor.http.close()


def test_too_many_visitors_are_told(served, monkeypatch):
    monkeypatch.setattr("web.sessions.MOST", 0)
    with pytest.raises(RefusedError, match="Come back"):
        Visitor(served)


def test_forgotten_sessions_end(visitor, served, monkeypatch):
    monkeypatch.setattr("web.sessions.IDLE", -1)
    Visitor(served)
    with pytest.raises(RefusedError, match="ended"):
        visitor.send(b"")


# ---- the command line


def test_without_gradio(program, monkeypatch):
    monkeypatch.setattr("web.find_spec", lambda name: None)
    outcome = program(demo.main, "--web")
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert "requirements-web.txt" in outcome.errors[0]


def test_without_video_and_text(program):
    for given in ((), ("--video", "clip.mp4"), ("--text", "a ball")):
        outcome = program(demo.main, *given)
        assert outcome.code == 2
        assert "--web" in outcome.errors[0]


def test_a_port_that_is_taken(program, served):
    outcome = program(demo.main, "--web", "--port", served.url.rpartition(":")[2])
    assert outcome.code == 2
    assert "--port" in outcome.errors[0]


def test_limits_are_flags(program):
    parser = demo.demo_parser()
    assert flags.limits_from(parser.parse_args([])) == flags.Limits()
    assert flags.limits_from(parser.parse_args(["--max_frames", "7"])).max_frames == 7
    assert program(demo.main, "--web", "--max_frames", "0").code == 2
