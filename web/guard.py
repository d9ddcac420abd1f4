"""What stands before Gradio: only the routes that the page needs, and nothing from outside.

Gradio also serves files and addresses that a request names, keeps uploads for all to read who know their name, and
fetches what a job's input calls a file. None of that is needed here.
"""

import json

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRADIO = "/gradio_api/"
EVENTS = (f"{GRADIO}queue/join", f"{GRADIO}run/")
OPEN = (
    *EVENTS,
    *(f"{GRADIO}{name}" for name in ("queue/data", "heartbeat/", "startup-events", "info", "cancel", "reset")),
    *("/assets/", "/static/", "/theme.css", "/config", "/favicon.ico", "/manifest.json", "/session/"),
)
MOST_BYTES = 1 << 20  # of an event

HEADERS = (
    # Browsers are told to fetch nothing from elsewhere, whatever Gradio's page asks for.
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data: blob:; "
        b"font-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """ASGI middleware: 404 for routes that the page does not need, 400 for events with more than text and numbers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        path = scope["path"]
        if path != "/" and not path.startswith(OPEN):
            await PlainTextResponse("not here", 404)(scope, receive, send_guarded)
        elif scope["method"] == "POST":
            await self._event(scope, receive, send_guarded)
        else:
            await self.app(scope, receive, send_guarded)

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, judge it, and hand it on."""
        body, more = b"", True
        while more and len(body) <= MOST_BYTES:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if len(body) > MOST_BYTES or (scope["path"].startswith(EVENTS) and not is_plain(body)):
            await PlainTextResponse("not an event of this page", 400)(scope, receive, send)
            return
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        await self.app(scope, again, send)


def is_plain(body: bytes) -> bool:
    """Whether an event's inputs are text, numbers or nothing: Gradio opens or fetches a file that an object names."""
    try:
        data = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(data, list) and all(isinstance(part, str | int | float | None) for part in data)
