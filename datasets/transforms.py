"""From a raw clip to a sample: one draw for a clip and its references in training, none in evaluation (spec §3).

T frames a clip, T' annotated ones among them (datasets/sample.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from util.structures import Target

from .geometry import Geometry, GeometryRange, extreme_boxes
from .left_right import PATTERNS, mirror_caption
from .photometric import AUGMENTATIONS, ColourChange, draw_colour_change
from .preprocessing import normalise, normalise_planes, resize_as_pillow, resized_size
from .sample import ClipSample, RawClip

VIDEO_SHORT_SIDES = (288, 320, 352, 392, 416, 448, 480, 512)
VIDEO_LONGEST = 640
# Pretraining on the images of RefCOCO (spec §3, Augmentation), to be used with colours="none".
REFCOCO_RANGE = GeometryRange(
    short_sides=tuple(range(480, 769, 32)),
    longest=800,
    cropped_short_sides=(296, 328, 360, 392, 416, 448, 480, 512),
    cropped_longest=640,
)
EVALUATION_SHORT_SIDE = 360
REFERENCE_AUGMENTATIONS = ("joint", "independent")


def video_range(
    longest: int = VIDEO_LONGEST, short_sides: tuple[int, ...] = VIDEO_SHORT_SIDES, crop_share: float = 0.5
) -> GeometryRange:
    """The geometries of the video sets, with `--max_size`, `--train_short_sides` and `--crop_share`."""
    return GeometryRange(short_sides, longest, short_sides, longest, crop_share)


class TrainTransform:
    """Random flip, colours, crop and size."""

    def __init__(
        self,
        geometries: GeometryRange,
        *,
        colours: str = "all",
        reference_augmentation: str = "joint",
        caption_flip: str = "word",
    ):
        """What is drawn from, and how.

        Args:
            geometries: `video_range()` or `REFCOCO_RANGE`.
            colours: how colours change, frame by frame: one of photometric.AUGMENTATIONS.
            reference_augmentation: "joint": a reference goes through the same draw as its frame; "independent": the
                references have a flip, crop, size and colours of their own (the released behaviour).
            caption_flip: "word" or "released", what a flip does to "left" and "right" (datasets/left_right.py).

        Raises:
            ValueError: an option has no such value.
        """
        if reference_augmentation not in REFERENCE_AUGMENTATIONS:
            raise ValueError(
                f"reference augmentation is one of {REFERENCE_AUGMENTATIONS}, not {reference_augmentation!r}"
            )
        if colours not in AUGMENTATIONS:
            raise ValueError(f"colour augmentation is one of {AUGMENTATIONS}, not {colours!r}")
        if caption_flip not in PATTERNS:
            raise ValueError(f"caption flip is one of {tuple(PATTERNS)}, not {caption_flip!r}")
        self.geometries = geometries
        self.colours = colours
        self.joint = reference_augmentation == "joint"
        self.caption_flip = caption_flip

    def __call__(self, raw: RawClip, rng: np.random.Generator) -> ClipSample:
        """The clip under one draw from `rng`."""
        original = raw.masks.shape[1:]
        geometry, colours = self.geometries.draw(original, rng), self._colours(len(raw.frames), rng)
        if self.joint:
            reference_geometry = geometry
            reference_colours = colours if raw.annotated is None else [colours[raw.annotated]]
        else:
            reference_geometry = self.geometries.draw(original, rng)
            reference_colours = self._colours(len(raw.reference), rng)
        frames = _augmented(raw.frames, geometry, [colour.apply for colour in colours])
        recolour = [colour.apply_to_object for colour in reference_colours]
        reference = _augmented(raw.reference, reference_geometry, recolour)
        if geometry.flip:
            raw = replace(raw, caption=mirror_caption(raw.caption, self.caption_flip))
        return _sample(raw, geometry, frames, reference)

    def _colours(self, count: int, rng: np.random.Generator) -> list[ColourChange]:
        return [draw_colour_change(rng, self.colours) for _ in range(count)]


class EvalTransform:
    """Nothing random: short side 360, long side at most `longest`; frames to the bit as inference makes them."""

    def __init__(self, longest: int = VIDEO_LONGEST):
        self.longest = longest

    def __call__(self, raw: RawClip, rng: np.random.Generator) -> ClipSample:
        """The clip, resized; `rng` is not used."""
        frames = self.frames(raw.frames)
        geometry = Geometry.resize(raw.masks.shape[1:], tuple(frames.shape[-2:]))
        return _sample(raw, geometry, frames, self.frames(raw.reference))

    def frames(self, images: Sequence[np.ndarray]) -> Tensor:
        """N images of one size, uint8 [H, W, 3] → float32 [N, 3, h, w], normalised."""
        size = resized_size(images[0].shape[:2], EVALUATION_SHORT_SIDE, self.longest)
        return torch.stack([normalise(resize_as_pillow(image, size)) for image in images])


def make_target(masks: np.ndarray, label: int, geometry: Geometry) -> Target:
    """The target of masks bool [T', H, W] that go through `geometry`; see util/structures.py for its shapes."""
    corners = torch.from_numpy(geometry.boxes(extreme_boxes(masks))).float()
    first, last = corners[:, :2], corners[:, 2:]
    valid = (last > first).all(dim=1)
    boxes = torch.cat([(first + last) / 2, last - first], dim=1) * valid[:, None]
    moved = np.stack([geometry.mask(mask) for mask in masks])
    moved[~valid.numpy()] = False
    return Target(label=torch.tensor(label), boxes=boxes, masks=torch.from_numpy(moved), valid=valid)


def _augmented(
    images: Sequence[np.ndarray], geometry: Geometry, recolour: Sequence[Callable[[np.ndarray], np.ndarray]]
) -> Tensor:
    """Images uint8 [H, W, 3] → float32 [N, 3, h, w], normalised."""
    # Filled frame by frame: stacking at the end would copy the largest array of all once more.
    result = torch.empty(len(images), 3, *geometry.size)
    for image, change, out in zip(images, recolour, result, strict=True):
        # Colours change at the original size, but only where the crop will show them.
        normalise_planes(geometry.resize_planes(change(geometry.cut(image))), out)
    return result


def _sample(raw: RawClip, geometry: Geometry, frames: Tensor, reference: Tensor) -> ClipSample:
    return ClipSample(
        frames=frames,
        reference=reference,
        target=make_target(raw.masks, raw.label, geometry),
        caption=raw.caption,
        name=raw.name,
        original_size=geometry.original,
        annotated=raw.annotated,
        image_id=raw.image_id,
    )
