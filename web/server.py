"""The server: Gradio's page behind the guard, and the routes that take a visitor's video and hand out results."""

import argparse
import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it when imported

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from models.tracker import Tracker, load_tracker
from util.errors import InputError
from util.interrupts import leaving_on_signals
from util.settings import Settings
from web.flags import Limits, limits_from
from web.guard import Guard
from web.jobs import FILM, MASKS
from web.page import build_page, look
from web.video_check import inspect_video
from web.visits import Visits

GRACE = 2  # seconds that open pages have when the server stops
STOPPED = b"stopped: what visitors sent and got is deleted\n"
LAST_WORK = 20  # seconds that a job has then to stop and delete its files


def run_server(settings: Settings, args: argparse.Namespace) -> int:
    """Listen, load the network, serve. Raises InputError."""
    limits = limits_from(args)
    with _listen(args.host, args.port) as listening:
        tracker = load_tracker(settings, recorded=True)
        root = Path(tempfile.mkdtemp(prefix="tf2-web-"))
        app = build_app(tracker, settings.data.caption_case, limits, root)
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(f"page: http://{host}:{listening.getsockname()[1]}  (Ctrl+C stops it)", flush=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE)
        with leaving_on_signals(STOPPED):
            uvicorn.Server(config).run(sockets=[listening])
    return 0


def build_app(tracker: Tracker, caption_case: str, limits: Limits, root: Path) -> FastAPI:
    """Everything that is served; all files are written below `root`, which is deleted when the server stops."""
    os.environ["GRADIO_TEMP_DIR"] = str(root / "gradio")
    visits = Visits(tracker, caption_case, limits, root)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            visits.sessions.end_all()
            await _last_work(visits)
            shutil.rmtree(root, ignore_errors=True)

    app = FastAPI(lifespan=life, openapi_url=None)
    _add_files(app, visits, limits)
    app.add_exception_handler(InputError, _refused)
    app.add_middleware(Guard)
    page = build_page(visits, limits)
    return gr.mount_gradio_app(
        app, page, "/", footer_links=[], run_history=False, show_error=False, ssr_mode=False, mcp_server=False, **look()
    )


def _add_files(app: FastAPI, visits: Visits, limits: Limits) -> None:
    one_at_a_time = asyncio.Lock()

    @app.put("/session/{token}/video")
    async def take_video(token: str, request: Request) -> Response:
        session = visits.sessions.of_token(token)
        with session.work() as folder:
            await _receive(request, folder / "video", limits)
            async with one_at_a_time:
                facts = await run_in_threadpool(inspect_video, folder / "video", limits)
        session.replace_video(folder / "video")
        return JSONResponse({"message": str(facts)})

    @app.get("/session/{token}/{name}")
    def give_file(token: str, name: str) -> Response:
        result = visits.sessions.of_token(token).result
        if result is None or name not in (FILM, MASKS):
            raise InputError("There is no such file.")
        return FileResponse(result.folder / name, filename=name, headers={"cache-control": "no-store"})


async def _receive(request: Request, path: Path, limits: Limits) -> None:
    """Write a request's body to a file. Raises InputError where it is too large."""
    size = 0
    with path.open("wb") as file:
        async for part in request.stream():
            size += len(part)
            if size > limits.max_bytes:
                raise InputError(f"This file is larger than {limits.max_megabytes} MB, the most that is taken.")
            file.write(part)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 400)


async def _last_work(visits: Visits) -> None:
    """Wait for jobs that were told to stop: they would make their folders again."""
    for _ in range(LAST_WORK * 10):
        if not visits.sessions.at_work:
            return
        await asyncio.sleep(0.1)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host}, port {port} ({error}); give another --port or --host") from error
