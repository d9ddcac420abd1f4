"""What many tests share: a tiny network with its text encoder, a tiny data set, and scripts run in this process."""

import json
import re
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from models.frame_segmenter import FrameSegmenter
from tools.make_text_encoder import make_text_encoder
from tools.make_untrained import SENTENCES, SMALL, make_checkpoint
from util.errors import exit_on_input_error
from util.repeatable_sums import repeat_sums

repeat_sums()  # as main.py does, before anything is multiplied
pytest.register_assert_rewrite("web_server")  # which test_web.py and test_web_browser.py name as a plugin, too
settings.register_profile("untimed", deadline=None)  # an example may take long on a busy machine
settings.load_profile("untimed")

# Files whose tests take long, begun first: what is left for the end is short, and all processes end together.
LONG = ("test_scripts.py", "test_export.py", "test_launch.py", "faults", "test_bench_training.py", "test_engine.py")


def pytest_collection_modifyitems(items):
    """The order within a file stays, because fixtures of the file are made once."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: min(places.get(name, len(LONG)) for name in (item.path.name, item.path.parent.name)))


@pytest.fixture(scope="session")
def text_encoder(tmp_path_factory):
    """A local folder that --text_encoder takes."""
    folder = tmp_path_factory.mktemp("text") / "encoder"
    torch.manual_seed(0)
    make_text_encoder(folder, SENTENCES)
    return folder


@pytest.fixture(scope="session")
def tiny_flags(text_encoder):
    """The command-line flags that describe the network in `checkpoint`."""
    return (*SMALL, "--text_encoder", str(text_encoder))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, text_encoder):
    """An untrained network of `tiny_flags`."""
    path = tmp_path_factory.mktemp("network") / "checkpoint.pth"
    make_checkpoint(path, text_encoder)
    return path


@pytest.fixture
def inference_flags(tiny_flags, checkpoint):
    """What every inference script needs to run the tiny network on small frames, in one process on the CPU."""
    return (*tiny_flags, "--resume", str(checkpoint), "--device", "cpu", "--ngpu", "1", "--short_side", "64")


@pytest.fixture
def one_thread():
    """On frames so small, threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


YTVOS_VIDEOS = {
    "beach": {"0": "the red ball that rolls", "1": "a small green square"},
    "street": {"0": "The blue  ball on the left"},
}
YTVOS_FRAMES = ("00000", "00005", "00010", "00015")
YTVOS_SIZE = (60, 100)


def write_frames(folder, names, size=YTVOS_SIZE):
    """JPEGs with a bright square that wanders over noise."""
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        image = np.random.default_rng(index).integers(60, 150, (*size, 3), dtype=np.uint8)
        image[size[0] // 4 : size[0] // 2, 5 * index : 5 * index + size[1] // 4] = (220, 40, 40)
        Image.fromarray(image).save(folder / f"{name}.jpg")


def write_expressions(root, split, videos, frames=YTVOS_FRAMES):
    """`meta_expressions.json` of a split; videos: name -> expression id -> sentence."""
    path = root / "meta_expressions" / split / "meta_expressions.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        video: {"expressions": {key: {"exp": text} for key, text in expressions.items()}, "frames": list(frames)}
        for video, expressions in videos.items()
    }
    path.write_text(json.dumps({"videos": content}))
    return path


@pytest.fixture
def ytvos(tmp_path):
    """A Ref-YouTube-VOS of two videos of four frames and three expressions; the test's own, to be broken at will."""
    root = tmp_path / "ref-youtube-vos"
    for video in YTVOS_VIDEOS:
        write_frames(root / "valid" / "JPEGImages" / video, YTVOS_FRAMES)
    write_expressions(root, "valid", YTVOS_VIDEOS)
    return root


@dataclass(frozen=True)
class Outcome:
    """How a program ended: exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def errors(self):
        """The lines that say what is wrong."""
        assert "Traceback" not in self.err, self.err
        return re.findall(r"^error: (.*)$", self.err, re.MULTILINE)


@pytest.fixture
def program(monkeypatch, capsys):
    """Runs a script's `main` with a command line, in this process."""

    def run(main, *flags):
        monkeypatch.setattr(sys, "argv", ["program", *map(str, flags)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            exit_on_input_error(main)
        return Outcome(left.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def segmented(monkeypatch):
    """A list that grows by (network, number of frames, whether there is a reference) each time a network answers."""
    calls = []
    answer, segment_clip = FrameSegmenter.answer, FrameSegmenter.segment_clip

    def counted(self, state, text, size, references=None):
        calls.extend([(self.network, 1, references is not None)] * len(text.words))
        return answer(self, state, text, size, references)

    def counted_clip(self, images, text):
        calls.append((self.network, len(images), False))
        return segment_clip(self, images, text)

    monkeypatch.setattr(FrameSegmenter, "answer", counted)
    monkeypatch.setattr(FrameSegmenter, "segment_clip", counted_clip)
    return calls
