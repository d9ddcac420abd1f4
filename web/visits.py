"""What the page's events do, for the visitor whose page they come from."""

import sys
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr

from models.tracker import Tracker
from tools.demo_synthetic import Clip, make_clip
from util.errors import InputError, OutputError
from web import drawing
from web.flags import Limits
from web.jobs import Job, first_picture
from web.sessions import Session, Sessions

NO_VIDEO = "Drop a video first, or take the sample."


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler; what is wrong is shown on the page, but the server's own troubles only in its log."""

    @wraps(handler)  # Gradio reads the parameters
    def tell(*args: object, **kwargs: object) -> Any:
        try:
            return handler(*args, **kwargs)
        except (OutputError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise gr.Error("The server cannot write its files. Tell whoever runs it.") from error
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return tell


class Visits:
    """Handlers; each finds its visitor's session by the request. Raises InputError, which `told` shows."""

    def __init__(self, tracker: Tracker, caption_case: str, limits: Limits, root: Path) -> None:
        self.tracker, self.caption_case, self.limits = tracker, caption_case, limits
        self.sessions, self.samples = Sessions(root), root / "sample"
        self._making = Lock()

    def start(self, request: gr.Request) -> str:
        """A page was opened: the address that takes its video."""
        return f"session/{self.sessions.start(request.session_hash).token}/video"

    def leave(self, request: gr.Request) -> None:
        """It was closed."""
        self.sessions.end(request.session_hash)

    def received(self, request: gr.Request) -> list[object]:
        """Its video has come: the first frame."""
        return self._before(self.sessions.of_page(request.session_hash))

    def take_sample(self, request: gr.Request) -> list[object]:
        """The made clip and its sentences, and the first frame."""
        session = self.sessions.of_page(request.session_hash)
        with self._making:
            clip = self._sample
        session.replace_video(clip.frames)
        return ["\n".join(e.text for e in clip.expressions), *self._before(session)]

    def segment(self, texts: str, request: gr.Request, progress: gr.Progress = gr.Progress()) -> list[object]:  # noqa: B008 (Gradio looks there)
        """The sentences, in the visitor's video: stage, slider, scores and files."""
        session = self.sessions.of_page(request.session_hash)
        sentences = self.limits.sentences(texts)
        video = session.video
        if video is None:
            raise InputError(NO_VIDEO)

        def advance(done: int, total: int, unit: str) -> None:
            session.check()  # nobody waits for what is left
            progress((done, total), desc=unit, unit=unit)

        with session.work() as folder:
            try:
                result = Job(video, sentences, folder).run(self.tracker, self.caption_case, advance)
            except InputError as error:
                if session.video != video:
                    raise InputError("Another video took this one's place. Press Segment again.") from error
                raise
            session.replace_result(result)
        first = result.sentences[0].key_frame or 0
        slider = gr.Slider(maximum=result.frames - 1, value=first, visible=result.frames > 1)
        files = drawing.downloads(f"session/{session.token}")
        return [drawing.result_stage(result, first), slider, drawing.score_panel(result, first), files]

    def show(self, index: float, request: gr.Request) -> list[str]:
        """Stage and scores of another frame."""
        session = self.sessions.of_page(request.session_hash)
        result = session.result
        if result is None:
            raise InputError(NO_VIDEO)
        index = min(max(int(index), 0), result.frames - 1)
        return [drawing.result_stage(result, index), drawing.score_panel(result, index)]

    @cached_property
    def _sample(self) -> Clip:
        return make_clip(self.samples)

    def _before(self, session: Session) -> list[object]:
        """What stands in the place of a result before there is one."""
        if session.video is None:
            raise InputError(NO_VIDEO)
        return [drawing.stage(first_picture(session.video), "First frame"), gr.Slider(visible=False), "", ""]
