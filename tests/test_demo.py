"""The demo on a clip and on a folder: masks, a video and a picture to look at, and bad input."""

import json
import shutil

import av
import numpy as np
import pytest
from conftest import YTVOS_FRAMES, YTVOS_SIZE, write_frames
from PIL import Image

from demo import main
from tools import demo_synthetic, evaluate, pack_model
from tools.make_untrained import make_clip
from util.mask_io import read_label_map
from util.track_pictures import OVERVIEW_WIDTH

pytestmark = pytest.mark.usefixtures("one_thread")
SENTENCES = ("The red ball!", "a small green square")
NAMES = ("0-the-red-ball", "1-a-small-green-square")


@pytest.fixture
def folder(tmp_path):
    write_frames(tmp_path / "frames", YTVOS_FRAMES)
    return tmp_path / "frames"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


@pytest.fixture
def run(program, text_encoder, checkpoint, output):
    """run(video, *sentences, flags=()): the network's make-up is not given, the checkpoint records it."""

    def run(video, *sentences, flags=()):
        texts = [part for sentence in sentences for part in ("--text", sentence)]
        resume = ("--resume", checkpoint, "--text_encoder", text_encoder, "--device", "cpu")
        return program(main, "--video", video, *texts, "--output", output, *resume, *flags)

    return run


def failed(outcome, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line
    return outcome


def frames_of(movie):
    with av.open(str(movie)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def check_results(output, frames, size):
    assert {path.name for path in output.iterdir()} == {"masks", "scores", "overlay.mp4", "overview.png"}
    assert {path.name for path in (output / "masks").iterdir()} == set(NAMES)
    for name, sentence in zip(NAMES, SENTENCES, strict=True):
        assert sorted(path.name for path in (output / "masks" / name).iterdir()) == [f"{f}.png" for f in frames]
        for path in (output / "masks" / name).iterdir():
            with Image.open(path) as mask:
                assert (mask.mode, mask.size) == ("L", size[::-1])
                assert set(np.unique(mask)) <= {0, 255}
        content = json.loads((output / "scores" / f"{name}.json").read_text())
        assert content["expression"] == sentence
        assert content["key_frame"] in frames
        assert list(content["scores"]) == frames
    shapes = [image.shape for image in frames_of(output / "overlay.mp4")]
    assert shapes == len(frames) * [(shapes[0][0], size[1], 3)]
    assert shapes[0][0] > size[0], "captions lie above the picture, not on it"
    with Image.open(output / "overview.png") as picture:
        assert picture.mode == "RGB"
        assert picture.width == OVERVIEW_WIDTH


def test_a_video_and_two_sentences(run, output, tmp_path):
    clip = tmp_path / "clip.mp4"
    make_clip(clip, frames=5, size=YTVOS_SIZE)
    outcome = run(clip, *SENTENCES)
    assert outcome.code == 0, outcome.err
    check_results(output, [f"{i:05d}" for i in range(5)], YTVOS_SIZE)
    for name in ("masks", "overlay.mp4", "overview.png"):
        assert str(output / name) in outcome.out


def test_a_folder_and_two_sentences(run, output, folder, segmented):
    outcome = run(folder, *SENTENCES)
    assert outcome.code == 0, outcome.err
    check_results(output, list(YTVOS_FRAMES), YTVOS_SIZE)
    assert len(segmented) == 2 * (4 + 1 + 3)
    masks = [np.array(Image.open(path)) for path in (output / "masks").rglob("*.png")]
    whole_video = np.stack(frames_of(output / "overlay.mp4")).astype(int)[:, -YTVOS_SIZE[0] :]
    originals = np.stack([np.array(Image.open(folder / f"{frame}.jpg")) for frame in YTVOS_FRAMES])
    assert any(mask.any() for mask in masks)
    assert np.abs(whole_video - originals).mean() > 3, "something is drawn"


def test_one_image(run, output, folder):
    outcome = run(folder / "00000.jpg", "the red ball", flags=("--no_tracking",))
    assert outcome.code == 0, outcome.err
    assert len(frames_of(output / "overlay.mp4")) == 1
    assert [path.name for path in (output / "masks" / NAMES[0]).iterdir()] == ["00000.png"]


def record_of(output):
    return json.loads((output / "scores" / f"{NAMES[0]}.json").read_text())


def test_pictures_that_are_asked_for(run, output, folder):
    """Boxes and points in overlay and record, and a plot; without the flag none of them."""
    assert run(folder, SENTENCES[0]).code == 0
    assert "boxes" not in record_of(output)
    plain = np.stack(frames_of(output / "overlay.mp4")).astype(int)
    outcome = run(folder, SENTENCES[0], flags=("--visualize",))
    assert outcome.code == 0, outcome.err
    assert str(output / "scores.png") in outcome.out
    assert (output / "scores.png").is_file()
    assert set(record_of(output)["boxes"]) == set(record_of(output)["points"]) == set(YTVOS_FRAMES)
    assert np.abs(np.stack(frames_of(output / "overlay.mp4")) - plain).max() > 100


def test_key_frames_and_masks_from_outside(run, output, folder, tmp_path):
    """The video goes by its folder's name, a sentence by its number."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"frames": {"0": YTVOS_FRAMES[2]}}))
    assert run(folder, SENTENCES[0], flags=("--key_frames", keys)).code == 0
    assert record_of(output)["key_frame"] == YTVOS_FRAMES[2]
    given = tmp_path / "masks" / "frames" / "0" / f"{YTVOS_FRAMES[1]}.png"
    given.parent.mkdir(parents=True)
    Image.fromarray(np.tile(np.uint8([0, 255]), (YTVOS_SIZE[0], YTVOS_SIZE[1] // 2))).save(given)
    assert run(folder, SENTENCES[0], flags=("--key_masks", tmp_path / "masks")).code == 0
    assert record_of(output)["key_frame"] == YTVOS_FRAMES[1]
    written = output / "masks" / NAMES[0] / given.name
    np.testing.assert_array_equal(read_label_map(written), read_label_map(given))
    failed(run(folder, *SENTENCES, flags=("--key_frames", keys)), keys, "expression '1'")


def test_key_frames_without_tracking_are_refused_before_anything_is_read(program, tmp_path):
    nothing = ("--video", tmp_path / "none.mp4", "--text", "a ball", "--resume", tmp_path / "none.pth")
    outcome = program(main, *nothing, "--no_tracking", "--key_frames", tmp_path / "none.json", "--key_model", "x")
    failed(outcome, "--no_tracking has no key frames", "--key_frames, --key_model")


# ---- a model folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, checkpoint, text_encoder):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    flags = ("--resume", checkpoint, "--text_encoder", text_encoder, "--output", folder, "--short_side", "64")
    pack_model.main([*map(str, flags), "--force"])
    return folder


def test_a_model_folder_needs_no_other_flag(program, model, output, folder):
    outcome = program(main, "--video", folder, "--text", SENTENCES[0], "--output", output, "--resume", model)
    assert outcome.code == 0, outcome.err
    assert len(list((output / "masks" / NAMES[0]).iterdir())) == len(YTVOS_FRAMES)


def test_the_made_clip_is_scored(program, model, output):
    """Its sentences name two objects, and tools/evaluate.py finds the score that is printed."""
    for _ in range(2):  # the second run finds the clip there
        outcome = program(demo_synthetic.main, "--resume", model, "--output", output, "--device", "cpu")
        assert outcome.code == 0, outcome.err
    clip = demo_synthetic.make_clip(output / "data")
    assert len({expression.obj_id for expression in clip.expressions}) == 2
    results = ("--results", output / "results", "--split", "test", "--workers", "1", "--json", output / "again.json")
    assert program(evaluate.main, "--dataset", "ytvos", "--ground_truth", output / "data", *results).code == 0
    printed, again = (json.loads((output / name).read_text()) for name in ("scores.json", "again.json"))
    assert printed["overall"] == again["overall"]
    assert f"{printed['overall']['J&F']:.4f}" in outcome.out
    for number, expression in enumerate(clip.expressions):
        (drawn,) = (output / "masks").glob(f"{number}-*")
        scored = output / "results" / clip.video.name / expression.id
        frames = clip.video.frames
        assert all((read_label_map(drawn / f"{f}.png") == read_label_map(scored / f"{f}.png")).all() for f in frames)


# ---- bad input


def test_no_video(run, output, tmp_path):
    failed(run(tmp_path / "none.mp4", "a ball"), tmp_path / "none.mp4", "no such file")
    (tmp_path / "text.mp4").write_text("no video")
    failed(run(tmp_path / "text.mp4", "a ball"), tmp_path / "text.mp4")
    (tmp_path / "empty").mkdir()
    failed(run(tmp_path / "empty", "a ball"), tmp_path / "empty", "no image")


def test_no_checkpoint(run, folder, tmp_path):
    failed(run(folder, "a ball", flags=("--resume", "")), "--resume")
    failed(run(folder, "a ball", flags=("--resume", tmp_path / "none.pth")), tmp_path / "none.pth")


def test_a_text_encoder_that_lacks_files(run, folder, tmp_path, text_encoder):
    def tried():
        return run(folder, "a ball", flags=("--text_encoder", encoder))

    encoder = tmp_path / "encoder"
    encoder.mkdir()
    failed(tried(), encoder, "no config.json", "--text_encoder")
    shutil.copy(text_encoder / "config.json", encoder)
    failed(tried(), encoder, "no tokenizer")
    shutil.copy(text_encoder / "vocab.json", encoder)
    failed(tried(), encoder, "no tokenizer")
    shutil.copy(text_encoder / "merges.txt", encoder)
    assert tried().code == 0


@pytest.mark.parametrize("text", ["", "  ", "ball " * 600])
def test_sentences_that_cannot_be_read(run, folder, text, segmented):
    failed(run(folder, "a ball", text), "the expression")
    assert segmented == [], "found before the other sentence is segmented"


def test_a_truncated_frame_leaves_the_finished_sentence(run, output, folder):
    """The overlay of what is not whole is not drawn."""
    assert run(folder, SENTENCES[0]).code == 0
    path = folder / "00010.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    failed(run(folder, *SENTENCES), path)
    assert [path.name for path in (output / "masks").iterdir()] == [NAMES[0]]


def test_a_frame_of_another_size(run, folder):
    Image.new("RGB", (50, 50)).save(folder / "00010.jpg")
    failed(run(folder, "a ball"), folder / "00010.jpg", "50×50", "100×60")


def test_a_file_where_the_output_goes(run, output, folder):
    output.write_text("in the way")
    outcome = failed(run(folder, "a ball"), "cannot write", output)
    assert len(outcome.err.splitlines()) == 1
    assert output.read_text() == "in the way"


def test_a_file_where_the_masks_go(run, output, folder):
    output.mkdir()
    (output / "masks").write_text("in the way")
    failed(run(folder, "a ball"), "cannot write", output / "masks")
