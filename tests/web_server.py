"""The web page's server with the tiny network, in a thread, and a visitor who speaks to it as the page does."""

import json
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="no Gradio: pip install -r requirements-web.txt")
import httpx
import uvicorn

from models.tracker import Tracker, load_tracker
from opts import parse_settings
from tools.make_untrained import make_clip
from web.flags import Limits
from web.server import _listen, build_app

LIMITS = Limits(max_frames=20, max_megabytes=1, max_pixels=426 * 240, max_sentences=3, max_characters=40)


@pytest.fixture(scope="session")
def tracker(tiny_flags, checkpoint):
    flags = ("--resume", str(checkpoint), "--device", "cpu", "--short_side", "64", "--key_candidates", "2")
    return load_tracker(parse_settings([*tiny_flags, *flags]))


@dataclass(frozen=True)
class Served:
    """Where a server listens, the folder of all its files, and its network."""

    url: str
    root: Path
    tracker: Tracker


@contextmanager
def serving(tracker, root, limits=LIMITS):
    root.mkdir()
    with _listen("127.0.0.1", 0) as listening:
        app = build_app(tracker, "lower", limits, root)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", root, tracker)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def served(tracker, tmp_path_factory):
    with serving(tracker, tmp_path_factory.mktemp("web") / "root") as server:
        yield server


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of six frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path, frames=6, size=(60, 100))
    return path


class RefusedError(Exception):
    """What the page would show in red."""


class Visitor:
    """One open page."""

    def __init__(self, served):
        self.http = httpx.Client(base_url=served.url, timeout=60)
        self.name = secrets.token_hex(6)
        events = self.http.get("/config").json()["dependencies"]
        self.events = {event["api_name"]: event["id"] for event in events}
        (self.address,) = self.ask("start")
        self.session = self.address.rpartition("/")[0]

    def body(self, event, data):
        return {"data": list(data), "fn_index": self.events[event], "session_hash": self.name}

    def ask(self, event, *data):
        """What an event that does not queue answers."""
        answer = self.http.post("/gradio_api/run/predict", json=self.body(event, data))
        if answer.is_error:
            raise RefusedError(answer.json().get("error"))
        return answer.json()["data"]

    def send(self, content):
        """Send a video; the message that comes back."""
        answer = self.http.put(f"/{self.address}", content=content)
        if answer.is_error:
            raise RefusedError(answer.json()["message"])
        return answer.json()["message"]

    def segment(self, texts):
        """Queue, wait and get the result; the messages on the way are in `heard`."""
        self.http.post("/gradio_api/queue/join", json=self.body("segment", [texts])).raise_for_status()
        self.heard = []
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.name}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    self.heard.append(json.loads(line[5:]))
                    if self.heard[-1]["msg"] == "process_completed":
                        break
        output = self.heard[-1]["output"]
        if not self.heard[-1]["success"]:
            raise RefusedError(output["error"])
        return output["data"]

    @contextmanager
    def present(self):
        """The connection that a page holds while it is open."""
        with self.http.stream("GET", f"/gradio_api/heartbeat/{self.name}") as stream:
            lines = stream.iter_lines()  # the connection lasts as long as this is held
            next(lines)
            yield


def until(true, seconds=15):
    """Wait for something that another thread brings about."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()
