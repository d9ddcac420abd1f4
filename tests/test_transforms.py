"""Augmentation: sizes, alignment of frames, references, masks and boxes, colours, captions."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from datasets.geometry import Geometry, extreme_boxes
from datasets.left_right import mirror_caption
from datasets.photometric import UNCHANGED, draw_colour_change
from datasets.preprocessing import MEAN, STD, inference_frame, normalise, resize_as_pillow, resized_size
from datasets.reference_frame import black_out
from datasets.sample import RawClip
from datasets.transforms import REFCOCO_RANGE, EvalTransform, TrainTransform, make_target, video_range
from util.errors import InputError

SIZES = Path(__file__).parents[2] / "shared" / "golden" / "resize-sizes.json"
BLACK = normalise(np.zeros((1, 1, 3), np.uint8))


def picture(height=120, width=200, seed=0):
    """A smooth picture without black, so that shifts show and resizing does not."""
    coarse = np.random.default_rng(seed).integers(60, 200, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def disc(height=120, width=200, x=80, y=60, radius=40):
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def raw_clip(masks=None, caption="the dog on the left", **changes):
    """A clip whose references are its own frames, so that both must stay alike."""
    masks = np.stack([disc(), disc(x=120), disc(y=70)]) if masks is None else masks
    frames = [picture(*masks.shape[1:], seed=number) for number in range(len(masks))]
    reference = [black_out(frame, mask) for frame, mask in zip(frames, masks, strict=True)]
    return replace(RawClip(frames, reference, masks, caption, 7, "a clip"), **changes)


def samples(transform, count=24, **changes):
    return [transform(raw_clip(**changes), np.random.default_rng(seed)) for seed in range(count)]


def grown(mask, pixels):
    """The mask dilated, or eroded where `pixels` is negative."""
    kernel = np.ones((2 * abs(pixels) + 1,) * 2, np.uint8)
    change = cv2.dilate if pixels > 0 else cv2.erode
    return torch.from_numpy(change(mask.numpy().astype(np.uint8), kernel).astype(bool))


@pytest.mark.skipif(not SIZES.exists(), reason=f"the released sizes are not at {SIZES}")
def test_sizes_are_the_released_ones():
    for case in json.loads(SIZES.read_text()):
        size = resized_size((case["height"], case["width"]), case["short_side"], case["max_size"])
        assert size == (case["result_height"], case["result_width"]), case


def test_normalise_is_the_formula_to_the_bit():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    expected = (torch.from_numpy(levels).float().permute(2, 0, 1) / 255 - torch.tensor(MEAN)[:, None, None]) / (
        torch.tensor(STD)[:, None, None]
    )
    assert torch.equal(normalise(levels), expected)
    assert torch.equal(normalise(Image.fromarray(levels)), expected)


def test_black_out_keeps_the_object_alone():
    image, mask = picture(), disc()
    assert np.array_equal(black_out(image, mask), image * mask[..., None])
    assert np.array_equal(black_out(image, mask.T.copy().T), image * mask[..., None])


@pytest.mark.parametrize("size", [(288, 480), (83, 140), (120, 200)])
def test_training_resizes_as_pillow_does(size):
    image = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    planes = np.stack(Geometry.resize((120, 200), size).resize_planes(image))
    difference = np.abs(planes.astype(int) - resize_as_pillow(image, size).transpose(2, 0, 1))
    assert difference.max() <= 1 and difference.mean() < 0.02


def test_evaluation_equals_inference_and_changes_nothing_else():
    raw = raw_clip()
    sample = EvalTransform()(raw, np.random.default_rng(0))
    for got, images in ((sample.frames, raw.frames), (sample.reference, raw.reference)):
        assert torch.equal(got, torch.stack([inference_frame(image) for image in images]))
    assert sample.target.masks.shape == (3, 360, 600) and sample.original_size == (120, 200)
    assert sample.caption == raw.caption and sample.target.label == 7
    assert EvalTransform()(raw_clip(np.ones((1, 60, 200), bool)), None).frames.shape[-2:] == (192, 640)


def test_a_frame_so_narrow_that_it_would_fill_the_memory_is_refused():
    with pytest.raises(InputError, match=r"7×5000 pixels become 360×257142"):
        inference_frame(np.zeros((5000, 7, 3), np.uint8))
    assert inference_frame(np.zeros((7, 500, 3), np.uint8), 32).shape == (3, 32, 2285)


@pytest.mark.parametrize("colours", ["all", "light", "none"])
def test_one_draw_for_frames_references_and_masks(colours):
    transform = TrainTransform(video_range(320), colours=colours)
    for sample in samples(transform, 12):
        assert sample.frames.shape == sample.reference.shape and sample.frames.is_contiguous()
        assert sample.frames.dtype == torch.float32 and sample.target.masks.shape[1:] == sample.frames.shape[2:]
        for frame, reference, mask in zip(sample.frames, sample.reference, sample.target.masks, strict=True):
            outside, inside = ~grown(mask, 7), grown(mask, -7)
            assert (reference[:, outside] == BLACK[:, 0]).all()
            assert torch.equal(reference[:, inside], frame[:, inside])


def test_independent_draws_differ():
    transform = TrainTransform(video_range(), colours="none", reference_augmentation="independent")
    drawn = samples(transform)
    assert sum(sample.frames.shape != sample.reference.shape for sample in drawn) > 12
    assert all(sample.target.masks.shape[1:] == sample.frames.shape[2:] for sample in drawn)


def test_flips_of_clip_and_caption_agree():
    """An object on the left is named on the side where it ends up, as long as the crop does not move it."""
    masks, transform = np.stack([disc(x=45, radius=30)]), TrainTransform(video_range(), colours="none")
    captions = set()
    for sample in samples(transform, masks=masks):
        if sample.target.masks.any(dim=1).sum() < 0.9 * 60 / 200 * sample.frames.shape[-1]:
            continue
        if sample.target.valid.all() and abs(sample.target.boxes[0, 0] - 0.5) > 0.2:
            captions.add(sample.caption)
            assert (sample.target.boxes[0, 0] < 0.5) == ("left" in sample.caption)
    assert captions == {"the dog on the left", "the dog on the right"}


def test_one_annotated_frame_shares_the_colours_of_its_frame():
    raw = raw_clip()
    single = replace(raw, reference=raw.reference[1:2], masks=raw.masks[1:2], annotated=1, image_id="v")
    for seed in range(8):
        all_of_them = TrainTransform(video_range())(raw, np.random.default_rng(seed))
        one = TrainTransform(video_range())(single, np.random.default_rng(seed))
        assert torch.equal(one.frames, all_of_them.frames) and torch.equal(one.reference, all_of_them.reference[1:2])
        assert (one.annotated, one.image_id, one.target.valid.shape) == (1, "v", (1,))


def test_sizes_of_the_two_recipes():
    video = {
        tuple(s.frames.shape[-2:])
        for s in samples(TrainTransform(video_range()), 60, masks=np.ones((1, 288, 512), bool))
    }
    assert all(max(size) <= 640 for size in video)
    assert {(288, 512), (320, 568), (352, 625)} & video and len(video) > 12
    masks = np.ones((1, 96, 128), bool)
    images = samples(TrainTransform(REFCOCO_RANGE, colours="none"), 60, masks=masks)
    sides = [tuple(sample.frames.shape[-2:]) for sample in images]
    assert all(max(side) <= 800 for side in sides)
    whole = {resized_size((96, 128), short, 800) for short in range(480, 769, 32)}
    assert sum(side in whole for side in sides) > 15 and any(min(side) < 480 for side in sides)


def test_boxes_are_moved_clipped_and_scaled():
    masks = np.zeros((3, 100, 200), bool)
    masks[0, 20:41, 30:81] = True
    masks[1, 10, 10] = True  # one pixel: no extent
    geometry = Geometry((100, 200), flip=True, crop=(30, 100, 50, 80), size=(100, 160))
    assert extreme_boxes(masks).tolist() == [[30, 20, 80, 40], [10, 10, 10, 10], [0, 0, 0, 0]]
    target = make_target(masks, 3, geometry)
    # mirrored: x 120…170, y 20…40; in the crop: x 20…70, y 0 (clipped)…10
    expected = torch.tensor([45 / 80, 5 / 50, 50 / 80, 10 / 50])
    assert torch.allclose(target.boxes[0], expected) and target.valid.tolist() == [True, False, False]
    assert not target.boxes[1:].any() and not target.masks[1:].any()
    assert target.masks.shape == (3, 100, 160) and target.masks[0, :22, 40:138].all()


def test_boxes_enclose_the_masks_that_went_the_same_way():
    masks = np.zeros((2, 120, 200), bool)
    masks[0, 20:80, 50:130] = masks[1, 60:110, 5:90] = True  # of a rectangle alone a clipped box is the clip's box
    for sample in samples(TrainTransform(video_range(), colours="none"), masks=masks):
        height, width = sample.frames.shape[-2:]
        for box, mask in zip(sample.target.boxes, sample.target.masks, strict=True):
            if not mask.any():
                continue
            x1, y1, x2, y2 = extreme_boxes(mask[None].numpy())[0]
            cx, cy, w, h = (box * torch.tensor([width, height, width, height])).tolist()
            got = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            # Half a pixel of the original, which is up to six times smaller, and the missing +1.
            assert np.allclose(got, (x1, y1, x2, y2), atol=8)


def test_masks_are_resized_by_nearest():
    mask = np.random.default_rng(0).random((90, 160)) < 0.5
    ours = Geometry.resize((90, 160), (72, 200)).mask(mask)
    theirs = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None].float(), (72, 200), mode="nearest")
    assert np.array_equal(ours, theirs[0, 0].bool().numpy())


def test_colours_are_clipped_and_black_stays_black():
    image = picture()
    image[:, :20] = 254
    reference = black_out(image, disc())
    changed = 0
    for seed in range(60):
        change = draw_colour_change(np.random.default_rng(seed))
        for table in (change.before, change.after):
            assert table is None or (np.diff(table.astype(int)) >= 0).all()  # a value that wraps would fall
        result = change.apply_to_object(reference)
        assert not result[~disc()].any()
        assert np.array_equal(result[disc()], change.apply(image)[disc()])
        changed += change.apply(image).tobytes() != image.tobytes()
    assert changed > 50
    assert not change.apply_to_object(np.zeros_like(image)).any()


def test_each_colour_change_is_as_strong_as_it_should_be():
    draws = [draw_colour_change(np.random.default_rng(seed)) for seed in range(400)]
    for part, share in (("before", 0.625), ("hsv", 0.75), ("after", 0.25), ("channels", 0.5)):
        assert abs(np.mean([getattr(draw, part) is not None for draw in draws]) - share) < 0.08, part
    turned = np.array([draw.hsv[0, :, 0] for draw in draws if draw.hsv is not None], dtype=int)
    assert np.abs((turned - np.arange(256) + 128) % 256 - 128).max() * 360 / 256 <= 18.5
    light = [draw_colour_change(np.random.default_rng(seed), "light") for seed in range(400)]
    assert {draw.channels for draw in light} == {None}
    assert all((draw.hsv[0, :, 0] == np.arange(256)).all() for draw in light if draw.hsv is not None)
    assert sum(draw.hsv is not None for draw in light) > 150
    assert draw_colour_change(np.random.default_rng(0), "none") is UNCHANGED
    grey = np.full((4, 4, 3), 128, np.uint8)
    assert np.array_equal(UNCHANGED.apply(grey), grey)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_as_many_clips_are_cropped_as_asked(share):
    rng, whole = np.random.default_rng(0), (0, 0, 192, 336)
    drawn = [video_range(crop_share=share).draw((192, 336), rng) for _ in range(400)]
    assert abs(np.mean([geometry.crop != whole for geometry in drawn]) - share) < 0.06


@pytest.mark.parametrize(
    ("caption", "word", "released"),
    [
        ("left of the right one", "right of the left one", "right of the left one"),
        ("a bright light", "a bright light", "a bleft light"),
        ("the upright bike", "the upright bike", "the upleft bike"),
        ("left-most, then rightmost", "right-most, then leftmost", "right-most, then leftmost"),
        ("on the right-hand side, leftwards", "on the left-hand side, rightwards", "on the left-hand side, rightwards"),
        ("cleft copyright", "cleft copyright", "cright copyleft"),
        ("Left, RIGHT", "Right, LEFT", "Left, RIGHT"),
    ],
)
def test_captions(caption, word, released):
    assert mirror_caption(caption) == word
    assert mirror_caption(caption, "released") == released


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="jiont"):
        TrainTransform(video_range(), reference_augmentation="jiont")
    with pytest.raises(ValueError, match="words"):
        TrainTransform(video_range(), caption_flip="words")
    with pytest.raises(ValueError, match="words"):
        mirror_caption("left", "words")
