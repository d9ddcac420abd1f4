"""The page: what is on it, and which handler each event goes to."""

from html import escape
from pathlib import Path

import gradio as gr

from web.flags import Limits
from web.visits import Visits, told

HERE = Path(__file__).parent
WAITING = 32  # jobs that may queue

TITLE = "## TF²: mark what a sentence names, in every frame"
ZONE = """
<label class="zone">Drop a video here, or click to choose one
<input type="file" accept="video/*,.mkv,.ogv" aria-label="Video"></label>
<p class="said" role="status"></p>
"""
KEPT = (
    "What you send stays on the computer that serves this page, is shown to nobody else, and is deleted when you leave."
)
DIRECT = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def build_page(visits: Visits, limits: Limits) -> gr.Blocks:
    """The page; its events are answered by `visits`, one job at a time."""
    with gr.Blocks(title="TF²", analytics_enabled=False) as page:
        gr.Markdown(TITLE)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                zone = gr.HTML(html_template=ZONE, js_on_load=_text("drop_zone.js"), most_bytes=limits.max_bytes)
                sample = gr.Button("Take a sample", size="sm")
                texts = gr.Textbox(label="Sentences, one a line", lines=3, placeholder="the dog on the left")
                segment = gr.Button("Segment", variant="primary")
                gr.HTML(f'<p class="said">{escape(str(limits))} {KEPT}</p>')
            with gr.Column(scale=3, min_width=340):
                stage = gr.HTML('<div class="empty">The result appears here.</div>')
                frame = gr.Slider(0, 1, step=1, label="Frame", visible=False, buttons=[])
                scores, files = gr.HTML(), gr.HTML()
        shown = [stage, frame, scores, files]
        page.load(told(visits.start), outputs=zone, **DIRECT)
        page.unload(visits.leave)
        zone.upload(told(visits.received), outputs=shown, **DIRECT)
        sample.click(told(visits.take_sample), outputs=[texts, *shown], **DIRECT)
        frame.input(told(visits.show), frame, [stage, scores], trigger_mode="always_last", **DIRECT)
        segment.click(
            told(visits.segment), texts, shown, concurrency_limit=1, show_progress_on=stage, api_visibility="private"
        )
    return page.queue(max_size=WAITING, api_open=False)


def look() -> dict[str, object]:
    """Theme and style, as Gradio takes them; the fonts are the visitor's own, others would be fetched."""
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return {"theme": theme, "css": _text("page.css")}


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
