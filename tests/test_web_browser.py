"""The web page in headless Chromium, from a video to the files. WEB_SHOTS=DIR keeps pictures of each step."""

import os
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import pytest

pytest.importorskip("gradio", reason="no Gradio: pip install -r requirements-web.txt")
pytest.importorskip("playwright", reason="no playwright: pip install playwright")
from playwright.sync_api import sync_playwright
from web_server import until

pytest_plugins = ["web_server"]  # server and clip
pytestmark = pytest.mark.usefixtures("one_thread")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served):
    """The page, opened; whatever it asks another host for, or complains of, is an error at the end."""
    page = browser.new_page(viewport={"width": 1280, "height": 960})
    page.set_default_timeout(WAIT)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(served.url)
    page.get_by_text("Drop a video here").wait_for()
    page.wait_for_function("() => document.querySelector('.zone')")
    yield page
    page.close()
    hosts = {urlparse(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlparse(served.url).netloc}
    assert complaints == []


def picture(page, name):
    if folder := os.environ.get("WEB_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def send(page, file):
    page.locator(".zone input").set_input_files(file)


def said(page, text):
    page.locator(".said[role=status]", has_text=text).wait_for()


def segment(page, text):
    page.get_by_label("Sentences, one a line").fill(text)
    page.get_by_role("button", name="Segment").click()


def downloaded(page, link):
    with page.expect_download() as download:
        page.get_by_role("link", name=link).click()
    return download.value.path()


def test_from_a_video_to_its_files(page, clip):
    send(page, clip)
    said(page, "6 frames of 100×60 pixels")
    page.get_by_text("First frame").wait_for()
    segment(page, "the red ball\na small green square")
    page.get_by_text("Masks and scores").wait_for()
    assert page.locator("table.scores tr").count() == 3
    assert page.locator("polyline").count() == 2
    picture(page, "result")
    before = page.locator("figure img").get_attribute("src")
    number = page.get_by_label("number input for Frame")
    number.fill("4" if "Frame 4 " not in page.locator("figcaption").inner_text() else "2")
    number.press("Enter")
    page.wait_for_function("old => document.querySelector('figure img').src !== old", arg=before)
    picture(page, "another_frame")
    with zipfile.ZipFile(downloaded(page, "Masks and scores")) as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 12
    assert Path(downloaded(page, "Overlay video")).read_bytes()[4:8] == b"ftyp"


def test_a_video_that_is_chosen_before_the_page_is_ready_is_not_lost(browser, served, clip):
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    page.goto(served.url, wait_until="commit")
    send(page, clip)
    said(page, "6 frames of 100×60 pixels")
    page.close()


def test_what_is_refused_is_said(page, tmp_path, clip):
    segment(page, "a ball")
    page.get_by_text("Drop a video first").wait_for()
    picture(page, "no_video")
    text = tmp_path / "clip.mp4"
    text.write_text("no video")
    send(page, text)
    said(page, "not a video")
    picture(page, "no_video_by_content")
    large = tmp_path / "large.mp4"
    large.write_bytes(b"\x00" * (10**6 + 1))
    send(page, large)
    said(page, "at most 1 MB")


def test_what_is_written_is_not_run(page, clip):
    send(page, clip)
    said(page, "6 frames")
    segment(page, "<img src=x onerror=document.title=1>\n${1+1} {{value}}")
    page.get_by_text("Masks and scores").wait_for()
    cells = page.locator("table.scores td:nth-child(2)").all_inner_texts()
    assert cells == ["<img src=x onerror=document.title=1>", "${1+1} {{value}}"]
    assert page.title() == "TF²"


def test_a_closed_page_leaves_nothing(browser, served, clip):

    page = browser.new_page()
    page.goto(served.url)
    page.get_by_text("Drop a video here").wait_for()
    send(page, clip)
    said(page, "6 frames")
    assert any(path.name == "video" for path in served.root.rglob("*"))
    page.close()
    until(lambda: not any(path.name == "video" for path in served.root.rglob("*")))
