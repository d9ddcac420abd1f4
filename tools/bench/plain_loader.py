"""The loader that one writes first: Pillow and torchvision, clip by clip. It lives here alone, to be measured against.

It does the work of datasets/ytvos.py with datasets/transforms.py step by step as spec §3 tells it: every frame and
every reference is opened, blacked out, flipped, recoloured, resized, cropped, resized and normalised on its own.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image
from torch import Tensor

from datasets.clip_sampling import sample_clip
from datasets.geometry import CROP_SIDES, SIZES_BEFORE_CROP
from datasets.left_right import mirror_caption
from datasets.preprocessing import MEAN, STD, resized_size
from datasets.reference_frame import training_neighbour
from datasets.transforms import VIDEO_LONGEST, VIDEO_SHORT_SIDES
from datasets.ytvos import YouTubeVOSDataset

Step = Callable[[Image.Image, Image.Resampling], Image.Image]


class PlainLoader:
    """The clips of `dataset`, read and augmented plainly."""

    def __init__(self, dataset: YouTubeVOSDataset):
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor, str]:
        """Frames and references [T, 3, h, w], masks [T, h, w], boxes [T, 4] (x1, y1, x2, y2), caption."""
        rng = np.random.default_rng((self.dataset.seed, *key))
        clips, index = self.dataset.index, key[1]
        expression = clips.expression[index]
        video = int(clips.video[expression])
        length, object_id = clips.length(video), int(clips.object_id[expression])
        positions = sample_clip(length, int(clips.start[index]), self.dataset.num_frames, rng)
        frames = [self._open(video, position, object_id) for position in positions]
        neighbours = [self._open(video, training_neighbour(position, length), object_id) for position in positions]
        images = [image for image, _ in frames]
        masks = [mask for _, mask in frames]
        references = [black_out(image, mask) for image, mask in neighbours]
        boxes = torch.stack([box_of(mask) for mask in masks])
        steps, flipped = draw_steps(images[0].size, rng)
        frames = torch.stack([to_input(apply(recolour(image, rng), steps)) for image in images])
        references = torch.stack([to_input(apply(recolour_object(image, rng), steps)) for image in references])
        masks = torch.stack([F.pil_to_tensor(apply(mask, steps, Image.Resampling.NEAREST))[0] > 0 for mask in masks])
        caption = clips.captions[expression]
        return frames, references, masks, boxes, mirror_caption(caption) if flipped else caption

    def _open(self, video: int, position: int, object_id: int) -> tuple[Image.Image, Image.Image]:
        clips, folder = self.dataset.index, self.dataset.folder
        name, frame = clips.videos[video], clips.frame(video, position)
        image = Image.open(folder / "JPEGImages" / name / f"{frame}.jpg").convert("RGB")
        labels = np.array(Image.open(folder / "Annotations" / name / f"{frame}.png"))
        return image, Image.fromarray((labels == object_id).astype(np.uint8) * 255)


def black_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The object alone."""
    return Image.fromarray(np.array(image) * (np.array(mask)[..., None] > 0))


def box_of(mask: Image.Image) -> Tensor:
    """(x1, y1, x2, y2) of a mask, [4]."""
    rows, columns = np.nonzero(np.array(mask))
    corners = (columns.min(), rows.min(), columns.max(), rows.max()) if len(rows) else (0, 0, 0, 0)
    return torch.tensor(corners, dtype=torch.float32)


def draw_steps(size: tuple[int, int], rng: np.random.Generator) -> tuple[list[Step], bool]:
    """The geometric steps of one clip whose frames are `size` = (width, height), and whether they flip it."""
    height, width = size[::-1]
    flip, crop = rng.random(2) < 0.5
    steps: list[Step] = [lambda image, _: F.hflip(image)] if flip else []
    if crop:
        height, width = grown = resized_size((height, width), int(rng.choice(SIZES_BEFORE_CROP)))
        steps.append(lambda image, how: image.resize(grown[::-1], how))
        low, high = CROP_SIDES
        height, width = cut = [int(rng.integers(min(low, side), min(high, side) + 1)) for side in grown]
        corner = [int(rng.integers(side - part + 1)) for side, part in zip(grown, cut, strict=True)]
        steps.append(lambda image, _: F.crop(image, *corner, *cut))
    final = resized_size((height, width), int(rng.choice(VIDEO_SHORT_SIDES)), VIDEO_LONGEST)
    steps.append(lambda image, how: image.resize(final[::-1], how))
    return steps, bool(flip)


def apply(image: Image.Image, steps: Sequence[Step], how: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
    """The image after all steps."""
    for step in steps:
        image = step(image, how)
    return image


def recolour(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, saturation, hue and order of channels, each with probability ½; Pillow's point() clips."""
    brighten, scale, scale_first, saturate, turn, shuffle = rng.random(6) < 0.5
    brightness, hue = rng.uniform(-32, 32), round(rng.uniform(-18, 18) * 256 / 360)
    contrast, saturation = rng.uniform(0.5, 1.5, 2)
    if brighten:
        image = image.point(lambda level: level + brightness)
    if scale and scale_first:
        image = image.point(lambda level: level * contrast)
    if saturate or turn:
        h, s, v = image.convert("HSV").split()
        h = h.point(lambda level: (level + hue) % 256) if turn else h
        s = s.point(lambda level: level * saturation) if saturate else s
        image = Image.merge("HSV", (h, s, v)).convert("RGB")
    if scale and not scale_first:
        image = image.point(lambda level: level * contrast)
    if shuffle:
        channels = image.split()
        image = Image.merge("RGB", [channels[channel] for channel in rng.permutation(3)])
    return image


def recolour_object(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same with the black background kept."""
    shown = Image.fromarray(np.array(image).any(axis=-1))
    return Image.composite(recolour(image, rng), Image.new("RGB", image.size), shown)


def to_input(image: Image.Image) -> Tensor:
    """[3, h, w], normalised."""
    return F.normalize(F.to_tensor(image), MEAN, STD)
