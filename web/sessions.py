"""What each visitor sent and got: a folder of one's own, gone when the visitor goes."""

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from util.errors import InputError
from web.jobs import Result

MOST = 64  # visitors at a time
IDLE = 2 * 3600  # seconds after which a session ends that nobody was seen to leave
ENDED = "This session has ended. Reload the page."


class Session:
    """One visitor's.

    token: names it in addresses; whoever knows it is the visitor
    video: what is to be segmented, a file or a folder of images
    result: the last one
    """

    def __init__(self, root: Path) -> None:
        self.token = secrets.token_urlsafe(24)
        self.folder = root / self.token
        self.folder.mkdir(mode=0o700)
        self.video: Path | None = None
        self.result: Result | None = None
        self.seen = time.monotonic()
        self.ended = False
        self._at_work = 0
        self._lock = threading.Lock()

    @contextmanager
    def work(self) -> Iterator[Path]:
        """A new folder in the session's; while it is written to, `end` deletes nothing and leaves that to here.

        The folder is deleted where the work fails.

        Raises:
            InputError: the session has ended, now or meanwhile.
        """
        with self._lock:
            self.check()
            self._at_work += 1
        folder = self.folder / secrets.token_hex(4)
        try:
            folder.mkdir()
            yield folder
            self.check()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            with self._lock:
                self._at_work -= 1
                self._delete_if_over()

    def check(self) -> None:
        """Raises InputError where the session has ended: whoever works for it may stop."""
        if self.ended:
            raise InputError(ENDED)

    def replace_video(self, video: Path) -> None:
        """Take another video; the old one goes if it was the visitor's, with the result."""
        old, self.video = self.video, video
        if old and self.folder in old.parents:
            shutil.rmtree(old.parent, ignore_errors=True)
        self.replace_result(None)

    def replace_result(self, result: Result | None) -> None:
        """Keep this result and delete the one before."""
        old, self.result = self.result, result
        if old:
            shutil.rmtree(old.folder, ignore_errors=True)

    def end(self) -> None:
        """Delete everything, now or as soon as no work is under way."""
        with self._lock:
            self.ended = True
            self._delete_if_over()

    @property
    def at_work(self) -> bool:
        """Whether something is being written to its folder."""
        return self._at_work > 0

    def _delete_if_over(self) -> None:
        if self.ended and not self._at_work:
            shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All visitors, by the name that Gradio has for their page and by their token."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, Session] = {}
        self._left: list[Session] = []  # ended, but still at work
        self._lock = threading.Lock()

    def start(self, page: str) -> Session:
        """A session for a page that was opened. Raises InputError where there are too many."""
        with self._lock:
            late = time.monotonic() - IDLE
            for key in [key for key, session in self._open.items() if session.seen < late or key == page]:
                self._end(key)
            if len(self._open) >= MOST:
                raise InputError(f"{MOST} visitors are here already. Come back in some minutes.")
            return self._open.setdefault(page, Session(self.root))

    def of_page(self, page: str | None) -> Session:
        """The session of a page. Raises InputError where it has ended."""
        return self._seen(self._open.get(page or ""))

    def of_token(self, token: str) -> Session:
        """The session of a token. Raises InputError where there is none."""
        return self._seen(next((s for s in list(self._open.values()) if secrets.compare_digest(s.token, token)), None))

    def end(self, page: str | None) -> None:
        """The visitor has left."""
        with self._lock:
            self._end(page or "")

    def _end(self, page: str) -> None:
        session = self._open.pop(page, None)
        if session:
            session.end()
            self._left = [s for s in (*self._left, session) if s.at_work]

    def end_all(self) -> None:
        """The server stops."""
        for page in list(self._open):
            self.end(page)

    @property
    def at_work(self) -> bool:
        """Whether work goes on for a visitor who has left."""
        return any(session.at_work for session in self._left)

    @staticmethod
    def _seen(session: Session | None) -> Session:
        if session is None:
            raise InputError(ENDED)
        session.seen = time.monotonic()
        return session
