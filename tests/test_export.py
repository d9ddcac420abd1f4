"""tools/export.py: the per-frame step as a file that computes what the network does, or no file."""

import pytest
import torch

from datasets.preprocessing import inference_frame
from datasets.reference_frame import black_out
from models.frame_segmenter import FrameSegmenter
from models.frame_step import FrameStep
from models.ops.functions import back_ends
from models.tracker import load_network
from opts import parse_settings
from tools import export
from tools.make_untrained import SENTENCES, SMALL, clip_images, make_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (64, 96)
# The smallest there is: tracing takes seconds.
TINIEST = (*SMALL, "--enc_layers", "1", "--dec_layers", "1", "--num_feature_levels", "3")


@pytest.fixture(scope="module")
def tiniest(tmp_path_factory, text_encoder):
    path = tmp_path_factory.mktemp("export") / "tiniest.pth"
    make_checkpoint(path, text_encoder, TINIEST)
    return path


@pytest.fixture(scope="module")
def network(tiniest, text_encoder):
    """network(): a new one each time, because a step takes its text encoder away."""
    settings = parse_settings(["--resume", str(tiniest), "--text_encoder", str(text_encoder)])
    return lambda: load_network(settings, settings.run.resume, recorded=True)


@pytest.fixture
def run(program, tiniest, text_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("models.feedforward.FEWEST_ROWS", 1)  # as layers of real networks, which take the fast way

    def run(*flags, kind="torch", output=None):
        given = ("--resume", tiniest, "--text_encoder", text_encoder, "--size", *SIZE, "--format", kind)
        return program(export.main, *given, "--output", output or tmp_path / f"step{export.SUFFIX[kind]}", *flags)

    return run


def features(network, sentence):
    with torch.no_grad():
        text = network.eval().encode_text([sentence])
    return {"words": text.words, "padding": text.padding, "sentence": text.sentence}


# ---- the step


@pytest.mark.parametrize("tracked", [True, False])
def test_the_step_is_what_the_segmenter_does(network, tracked):
    net, (before, after) = network(), clip_images(2, SIZE)
    reference = black_out(before, before[..., 0] > 200) if tracked else None
    segmenter = FrameSegmenter(net, min(SIZE))
    wanted = segmenter.segment(after, segmenter.encode_text(SENTENCES[0]), reference)
    inputs = features(net, SENTENCES[0]) | {"frame": inference_frame(after, min(SIZE))[None]}
    if tracked:
        inputs["reference"] = inference_frame(reference, min(SIZE))[None]
    with torch.no_grad():
        mask, score = FrameStep(net)(**inputs)
    assert mask.shape == (1, *SIZE)
    torch.testing.assert_close(mask[0], wanted.probability, atol=1e-5, rtol=0)
    assert score.item() == pytest.approx(wanted.score, abs=1e-5)


def test_padding_behind_the_words_changes_nothing(network):
    net = network()
    padded, short = export.make_examples(net, SIZE)
    assert padded["padding"].any()
    assert padded["words"].shape[1] > short["words"].shape[1]
    step = FrameStep(net)
    with torch.no_grad():
        for one, other in zip(step(**padded), step(**short), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


# ---- files


def test_a_torch_file_is_the_network(run, network, tmp_path, monkeypatch):
    """Without operators of this project, and for sentences of other lengths than those it was traced with."""
    loaded, load = [], torch.export.load  # loading takes seconds: what the tool has loaded is looked at
    monkeypatch.setattr(torch.export, "load", lambda path: loaded.append(load(path)) or loaded[-1])
    outcome = run()
    assert outcome.code == 0, outcome.err
    assert "largest differences from the network: mask" in outcome.out
    assert [path.name for path in tmp_path.iterdir()] == ["step.pt2"]
    (program,) = loaded
    assert not any("tf2" in str(node.target) for node in program.graph.nodes if node.op == "call_function")
    assert not any("text_encoder" in name for name in program.state_dict)
    net = network()
    example = export.make_examples(net, SIZE)[0] | features(net, SENTENCES[1])
    with torch.no_grad():
        for ours, theirs in zip(program.module()(**example), FrameStep(net)(**example), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert not back_ends._plain_alone, "compiled back ends are there again"


def test_an_onnx_file_is_the_network(run, network, tmp_path):
    """Without a reference, which takes the exporter half the time."""
    for name in export.ONNX_PACKAGES:
        pytest.importorskip(name, reason=f"pip install {' '.join(export.ONNX_PACKAGES)}")
    outcome = run("--no_tracking", kind="onnx")
    assert outcome.code == 0, outcome.err
    (file,) = tmp_path.iterdir()
    net = network()
    example = export.make_examples(net, SIZE)[0] | features(net, SENTENCES[1])
    del example["reference"]
    with torch.no_grad():
        for ours, theirs in zip(export.load("onnx", file)(example), FrameStep(net)(**example), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.fixture
def no_tracing(monkeypatch):
    """The file is what a test makes of it: `made(worst)` is one that differs by so much."""

    def made(by):
        monkeypatch.setattr(export, "export", lambda step, example, kind, path: path.write_text("a program"))
        loaded = lambda kind, path: lambda inputs: [inputs["frame"][:, 0] * 0 + by, torch.zeros(1)]  # noqa: E731
        monkeypatch.setattr(export, "load", loaded)
        monkeypatch.setattr(FrameStep, "forward", lambda self, frame, **_: (frame[:, 0] * 0, torch.zeros(1)))

    return made


@pytest.mark.parametrize("by", [2e-3, float("nan")])
def test_a_file_that_differs_is_not_left(run, no_tracing, tmp_path, by):
    no_tracing(by)
    outcome = run()
    assert outcome.code == 1
    (line,) = outcome.errors
    assert f"mask {by:.1e}" in line
    assert list(tmp_path.iterdir()) == []


def test_rounding_is_let_pass(run, no_tracing, tmp_path):
    no_tracing(5e-4)
    outcome = run()
    assert outcome.code == 0, outcome.err
    assert "mask 5.0e-04, score 0.0e+00" in outcome.out
    assert (tmp_path / "step.pt2").read_text() == "a program"


# ---- bad input


def failed(outcome, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert part in line


def test_what_cannot_work_is_said_before_loading(run, tmp_path):
    failed(run("--resume", ""), "--resume")
    failed(run(output=tmp_path / "step.onnx"), ".pt2")
    failed(run("--size", "16", "64"), "32 pixels")
    failed(run("--resume", tmp_path / "none.pth"), "none.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(run, monkeypatch):
    monkeypatch.setattr(export, "ONNX_PACKAGES", ("numpy", "no_such_package"))
    failed(run(kind="onnx"), "needs no_such_package: pip install numpy no_such_package")


def test_what_the_format_cannot_take(run, monkeypatch, tmp_path):
    def refuse(step, example):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(export, "trace", refuse)
    failed(run(), "--format torch cannot take this network: no such operator", "docs/export.md")
    assert list(tmp_path.iterdir()) == []
