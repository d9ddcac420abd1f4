"""Files that want more than to be read: nothing in them runs, and no other file is read through them."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import torch

from datasets import a2d
from datasets.video_source import open_video
from models.text_encoder import CaptionTokenizer, build_roberta
from tests.faults.refusals import put, tally
from tools.data.convert_refexp_to_coco import load_plain_pickle
from util.checkpoint_file import read_checkpoint
from util.mask_io import read_image, read_label_map

ROOT = Path(__file__).resolve().parents[2]


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


class Evaluated(Canary):
    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({str(self.victim)!r})",)


class Stateful(Canary):
    """Asks for a class of torch's own list, then for a call while its state is set."""

    def __reduce__(self):
        return torch.nn.Parameter, (torch.zeros(1),), (False, None, Canary(self.victim))


PAYLOADS = (Canary, Evaluated, Stateful)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_run_nothing(tmp_path, payload, protocol):
    victim = tmp_path / "victim"
    path = put(tmp_path / "refs.p", pickle.dumps([{"split": payload(victim)}], protocol))
    with tally("pickles and checkpoints that want to run something") as tries:
        tries.refused(lambda: load_plain_pickle(path), str(path))
        path = put(tmp_path / "bare.pth", path.read_bytes())
        tries.refused(lambda: read_checkpoint(path), str(path))
        assert not victim.exists()
    assert pickle.loads(path.read_bytes()) is not None and victim.exists()  # it would have run elsewhere


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["model", "args", "optimizer"])
def test_checkpoints_run_nothing(tmp_path, payload, legacy, place):
    victim, path = tmp_path / "victim", tmp_path / "checkpoint.pth"
    content = {"model": {"weight": torch.zeros(2)}, "args": {}, "optimizer": {}}
    content[place] = content[place] | {"x": payload(victim)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with tally("pickles and checkpoints that want to run something") as tries:
        tries.refused(lambda: read_checkpoint(path), str(path))
        assert not victim.exists()


def test_model_folders_run_nothing(tmp_path, text_encoder, monkeypatch):
    """Code beside a tokenizer is not fetched, asked about or run."""
    folder = shutil.copytree(text_encoder, tmp_path / "encoder")
    victim = tmp_path / "victim"
    put(folder / "evil.py", f"import os; os.mkdir({str(victim)!r})".encode())
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run code"))
    with tally("pickles and checkpoints that want to run something") as tries:
        for name in ("config.json", "tokenizer_config.json"):
            for changed in (
                {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoConfig": "evil.Evil"}},
                {"model_type": "evil", "tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}},
            ):
                content = json.loads((text_encoder / name).read_bytes()) if (text_encoder / name).exists() else {}
                (folder / name).write_text(json.dumps(content | changed))
                tries.settled(lambda: CaptionTokenizer(str(folder)).ids("a red ball"), "give --text_encoder")
                tries.settled(lambda: build_roberta(str(folder), pretrained=False), "give --text_encoder")
                assert not victim.exists()
            shutil.copy(text_encoder / "config.json", folder / "config.json")


@pytest.fixture
def secret(tmp_path):
    """A file outside the folder that is read, such as another user's."""
    path = tmp_path / "elsewhere" / "secret"
    path.parent.mkdir()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8))))
        container.mux(stream.encode())
    return path


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile {}\n",
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    "HLS by protocol": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{}\n#EXT-X-ENDLIST\n",
    "HLS of a network": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "SDP": "v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "text": "just text {}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.ffconcat", "clip.mpd"])
def test_playlists_read_no_other_file(tmp_path, secret, kind, name):
    with tally("videos that are playlists of other files") as tries:
        for target in (secret, "../elsewhere/secret", "beside.mp4"):
            path = put(tmp_path / "videos" / name, PLAYLISTS[kind].format(target).encode())
            shutil.copy(secret, path.with_name("beside.mp4"))
            tries.refused(lambda: open_video(path, tmp_path).__enter__(), str(path))  # noqa: B023 (called here)
            a2d.index_video.cache_clear()
            tries.refused(lambda: a2d.read_frames(path, [0]), str(path))  # noqa: B023


def test_h5_reads_no_other_file(tmp_path):
    """Links into other files, storage outside and virtual arrays: all are HDF5's own means."""
    secret = put(tmp_path / "secret", bytes(range(96)))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["reMask"] = np.ones((2, 8, 6), np.uint8)

    def linked(file):
        file["reMask"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "reMask")

    def soft(file):
        file["far"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
        file["reMask"] = h5py.SoftLink("/far/reMask")

    def stored(file):
        file.create_dataset("reMask", (2, 8, 6), np.uint8, external=[(str(secret), 0, 96)])

    def virtual(file):
        layout = h5py.VirtualLayout((2, 8, 6), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "reMask", (2, 8, 6))
        file.create_virtual_dataset("reMask", layout)

    path = tmp_path / "00001.h5"
    with tally("h5 that leads into other files") as tries:
        for make in (linked, soft, stored, virtual):
            with h5py.File(path, "w") as file:
                file["instance"] = np.arange(2)
                make(file)
            tries.refused(lambda: a2d.read_mask(path, 1), str(path), "in the file itself")


ACTIVE_IMAGES = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\nshowpage\n",
    "PDF": b"%PDF-1.4\n1 0 obj<<>>endobj\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "XPM": b'/* XPM */\nstatic char * x[] = {\n"1 1 1 1",\n"a c #fff",\n"a"};\n',
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(60),
}


@pytest.mark.parametrize("kind", ACTIVE_IMAGES)
def test_images_start_no_program(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **_: pytest.fail(f"started {args}"))
    with tally("images that start programs, under a PNG's or a JPEG's name") as tries:
        for name in ("a.png", "a.jpg"):
            path = put(tmp_path / name, ACTIVE_IMAGES[kind])
            tries.refused(lambda: read_image(path), str(path))  # noqa: B023 (called here)
            tries.refused(lambda: read_label_map(path), str(path))  # noqa: B023


# ---- the programs' own code


def test_nothing_is_evaluated_and_no_shell_is_started():
    """Ruff's S rules say so in `make lint`; every exception gives its reason in the line."""
    selected = re.search(r"^select = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert '"S"' in selected
    for path in ROOT.rglob("*.py"):
        if {"tests", ".venv", "build"} & set(path.relative_to(ROOT).parts):
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"shell\s*=\s*True|(?<![\w.])(eval|exec)\(|os\.(system|popen)\(", text), path
        for line in text.splitlines():
            assert not re.search(r"noqa: S\d", line) or re.search(r"noqa: [A-Z]\d+ \(.+\)", line), (
                f"{path}: no reason: {line}"
            )


@pytest.mark.parametrize("code", ["eval(input())", "subprocess.run('x', shell=True)", "pickle.load(open('x', 'rb'))"])
def test_the_check_finds_such_calls(tmp_path, code):
    """The lint that CI runs would stop them."""
    path = put(tmp_path / "bad.py", f"import pickle, subprocess\n{code}\n".encode())
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--config",
        str(ROOT / "pyproject.toml"),
        "--select",
        "S",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.search(r"\bS\d{3}\b", done.stdout)


def test_a_zip_named_as_a_checkpoint(tmp_path):
    """Its members' names lead nowhere."""
    path = tmp_path / "evil.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../evil", "/evil", "archive/data.pkl", "archive/../../x"):
            archive.writestr(name, b"x")
    with tally("checkpoints that are other zips") as tries:
        tries.refused(lambda: read_checkpoint(path), str(path))
    assert [file.name for file in tmp_path.rglob("*")] == ["evil.pth"]
