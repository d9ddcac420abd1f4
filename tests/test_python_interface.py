"""tf2.py: a video and a sentence to arrays, and live streams that do what forward propagation does."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from conftest import YTVOS_FRAMES, YTVOS_SIZE, write_frames

import tf2
from datasets.key_frames import KeyChoice
from tools.make_untrained import SENTENCES, clip_images, make_clip
from util.mask_io import write_mask

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH = 5


@pytest.fixture(scope="module")
def load(checkpoint, text_encoder):
    def load(**flags):
        return tf2.load(checkpoint, **{"text_encoder": text_encoder, "device": "cpu", "short_side": 64} | flags)

    return load


@pytest.fixture(scope="module")
def clip():
    return np.stack(list(clip_images(LENGTH, YTVOS_SIZE)))


@pytest.fixture(scope="module")
def threshold(load, clip):
    """Untrained masks are of little contrast: this one cuts through the first frame's."""
    model = load()
    (first, *_) = (frame for frame in model.tracker.track(clip, SENTENCES[0], KeyChoice((0,))))
    return float(first.probability.median())


@pytest.fixture(scope="module")
def model(load, threshold):
    return load(threshold=threshold)


# ---- whole videos


def test_masks_scores_and_the_key_frame(model, clip):
    found = model.track(clip, SENTENCES[0])
    assert found.masks.dtype == np.bool_
    assert found.masks.shape == clip.shape[:3]
    assert 0 < found.masks.mean() < 1
    frames = {frame.index: frame for frame in model.tracker.track(clip, SENTENCES[0])}
    assert [frame.index for frame in frames.values() if frame.is_key] == [found.key_frame]
    np.testing.assert_allclose(found.scores, [frames[i].score for i in range(LENGTH)])
    for index, mask in enumerate(found.masks):
        assert (mask == (frames[index].probability > model.tracker.settings.threshold).numpy()).all()
    assert (model.segment(clip, SENTENCES[0]) == found.masks).all()


def test_several_sentences_are_as_each_alone(model, clip):
    sentences = [*SENTENCES, "a ball", "the square"]  # more than go together
    masks = model.segment(clip, sentences)
    assert masks.shape == (len(sentences), *clip.shape[:3])
    for sentence, mask in zip(sentences, masks, strict=True):
        assert (model.segment(clip, sentence) != mask).mean() < 0.01
    assert model.segment(clip, sentences[:1]).shape == (1, *clip.shape[:3]), "a list stays a list"


def test_case_and_spaces_of_a_sentence_do_not_matter(model, clip):
    assert (model.segment(clip, "The  RED ball") == model.segment(clip, "the red ball")).all()


def test_a_file_and_a_folder(model, tmp_path):
    make_clip(tmp_path / "clip.mp4", frames=3, size=YTVOS_SIZE)
    assert model.segment(tmp_path / "clip.mp4", "a ball").shape == (3, *YTVOS_SIZE)
    write_frames(tmp_path / "frames", YTVOS_FRAMES)
    assert model.segment(str(tmp_path / "frames"), "a ball").shape == (4, *YTVOS_SIZE)


def test_without_tracking_the_surest_frame_is_named(load, clip):
    found = load(no_tracking=True, clip_frames=2).track(clip, SENTENCES[0])
    assert found.key_frame == found.scores.argmax()


def test_the_interface_hides_no_other_module(checkpoint, text_encoder):
    """`tf2` beside `models.tf2`: each is itself."""
    import models.tf2

    assert tf2.load.__module__ == "tf2"
    assert Path(tf2.__file__).name == Path(models.tf2.__file__).name
    assert models.tf2.TF2 is type(
        tf2.load(checkpoint, text_encoder=text_encoder, device="cpu").tracker.segmenter.network
    )


@pytest.mark.parametrize(
    ("flags", "part"),
    [({"shortside": 3}, "shortside"), ({"precision": "fp8"}, "fp8"), ({"short_side": "small"}, "small")],
)
def test_flags_that_are_not_known(load, flags, part):
    with pytest.raises(tf2.InputError, match=part):
        load(**flags)


def test_frames_that_are_too_small_for_the_network(load, clip):
    with pytest.raises(tf2.InputError, match=r"53×32 pixels .* 65 or more: give --short_side 40$"):
        load(short_side=32).segment(clip, "a ball")
    with pytest.raises(tf2.InputError, match=r"--short_side 65$"):
        load(short_side=64).stream().start("a ball", clip[0, :, :60])
    assert load(short_side=40).segment(clip, "a ball").shape == clip.shape[:3]
    assert load(short_side=65).stream().start("a ball", clip[0, :, :60]).shape == (60, 60)


@pytest.mark.parametrize(
    "video",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        [1, 2],
        None,
    ],
)
def test_videos_that_are_none(model, video):
    with pytest.raises(tf2.InputError, match="uint8"):
        model.segment(video, "a ball")


@pytest.mark.parametrize("text", ["", [], ["a ball", " "]])
def test_sentences_that_are_none(model, clip, text):
    with pytest.raises(tf2.InputError):
        model.segment(clip, text)
    with pytest.raises(tf2.InputError):
        model.stream().start(text, clip[0])


def test_files_that_are_not_there(tmp_path, model):
    with pytest.raises(tf2.InputError, match=r"none\.pth"):
        tf2.load(tmp_path / "none.pth")
    with pytest.raises(tf2.InputError, match=r"none\.mp4"):
        model.segment(tmp_path / "none.mp4", "a ball")


# ---- live streams


def forward(model, clip, caption, **given):
    """Masks and scores of offline propagation from the first frame, forward."""
    frames = list(model.tracker.track(clip, caption, KeyChoice((0,), **given)))
    assert [frame.index for frame in frames] == list(range(LENGTH))
    masks = [(frame.probability > model.tracker.settings.threshold).numpy() for frame in frames]
    return np.stack(masks), [np.nan if frame.score is None else frame.score for frame in frames]


def streamed(model, clip, text, mask=None):
    stream = model.stream()
    masks, scores = [stream.start(text, clip[0], mask)], [stream.score]
    for frame in clip[1:]:
        masks.append(stream.step(frame))
        scores.append(stream.score)
    return np.stack(masks), np.array(scores)


@pytest.mark.parametrize("selector", ["argmax", "restart"])
def test_a_stream_is_forward_propagation(load, threshold, clip, selector):
    model = load(threshold=threshold, key_frame_selector=selector)
    masks, scores = forward(model, clip, SENTENCES[0])
    ours, our_scores = streamed(model, clip, SENTENCES[0])
    assert 0 < masks.mean() < 1
    assert (ours != masks).mean() < 1e-3, "all but a tie's rounding"
    np.testing.assert_allclose(our_scores, scores, atol=1e-5)


def test_a_given_mask_is_followed(model, clip, tmp_path):
    mask = clip[0, ..., 0] > 200
    write_mask(tmp_path / "mask.png", mask)
    masks, scores = forward(model, clip, SENTENCES[0], masks={0: tmp_path / "mask.png"})
    ours, our_scores = streamed(model, clip, SENTENCES[0], mask)
    assert (ours[0] == mask).all()
    assert np.isnan(our_scores[0])
    assert (ours != masks).mean() < 1e-3
    np.testing.assert_allclose(our_scores, scores, atol=1e-5)
    assert (ours[1:] != streamed(model, clip, SENTENCES[0], ~mask)[0][1:]).any(), "what is given is looked at"


def test_sentences_of_a_stream_are_as_each_alone(model, clip):
    """Two frames: where masks are this flat, rounding grows from frame to frame."""
    masks, scores = streamed(model, clip[:2], SENTENCES)
    assert masks.shape == (2, len(SENTENCES), *clip.shape[1:3])
    assert scores.shape == (2, len(SENTENCES))
    for number, sentence in enumerate(SENTENCES):
        alone, own_scores = streamed(model, clip[:2], sentence)
        np.testing.assert_allclose(scores[:, number], own_scores, atol=1e-3)
        assert (masks[:, number] != alone).mean() < 0.05 < (masks[:, number - 1] != alone).mean()


def test_the_first_frame_is_found_by_the_key_model(load, threshold, clip, checkpoint, segmented):
    model = load(threshold=threshold, key_model=checkpoint)
    streamed(model, clip[:2], SENTENCES[0])
    networks = [network for network, *_ in segmented]
    assert networks == [model.tracker.key_segmenter.network, model.tracker.segmenter.network]


def test_a_stream_keeps_no_old_frame(model, clip):
    class Frame(np.ndarray):
        """An array that can be watched."""

    stream, watched = model.stream(), []
    for index, image in enumerate(clip):
        frame = image.copy().view(Frame)
        watched.append(weakref.ref(frame))
        stream.step(frame) if index else stream.start(SENTENCES[0], frame)
        del frame
    gc.collect()
    assert [ref() is not None for ref in watched] == [False] * (LENGTH - 1) + [True]


def test_a_stream_begins_again(model, clip):
    stream = model.stream()
    stream.start(SENTENCES[1], clip[2])
    again = [stream.start(SENTENCES[0], clip[0]), stream.step(clip[1])]
    assert (np.stack(again) == streamed(model, clip[:2], SENTENCES[0])[0]).all()


def test_a_stream_in_the_wrong_order_or_of_wrong_frames(model, load, clip):
    stream = model.stream()
    with pytest.raises(RuntimeError, match="start"):
        stream.step(clip[0])
    for mask in (clip[0, ..., 0], np.zeros((3, 3), bool), np.zeros((1, *YTVOS_SIZE), bool), [[True]]):
        with pytest.raises(tf2.InputError, match="mask"):
            stream.start("a ball", clip[0], mask)
    stream.start("a ball", clip[0])
    with pytest.raises(tf2.InputError, match="90×60 pixels in a stream of 100×60"):
        stream.step(clip[1][:, :90])
    with pytest.raises(tf2.InputError, match="float32"):
        stream.step(clip[1].astype(np.float32))
    assert stream.step(clip[1]).shape == YTVOS_SIZE, "it goes on"
    with pytest.raises(tf2.InputError, match="no_tracking"):
        load(no_tracking=True).stream()
