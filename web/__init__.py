"""The page that `python demo.py --web` serves: a video and sentences in, masks out (docs/web.md).

Gradio draws the page. Files go past it, through routes of our own (server.py): its file cache is shared by all
visitors, and its routes do more than a page needs (guard.py).
"""

import argparse
from importlib.util import find_spec

from util.errors import InputError
from util.settings import Settings


def serve(settings: Settings, args: argparse.Namespace) -> int:
    """Serve the page until the process is told to stop; `args` holds the flags of flags.py.

    Raises:
        InputError: Gradio is not installed, the address cannot be listened at, or there is no network to load.
    """
    if find_spec("gradio") is None:
        raise InputError("the web page needs Gradio: pip install -r requirements-web.txt")
    from web.server import run_server  # it imports Gradio

    return run_server(settings, args)
