"""Ref-YouTube-VOS (spec §5), for training: clips of frames that all have masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from util.errors import InputError
from util.mask_io import read_image, read_label_map

from .clip_dataset import ClipDataset, Transform
from .clip_index import ClipIndex
from .clip_sampling import sample_clip
from .expressions import Expression, normalise_caption, read_meta_expressions, read_videos
from .reference_frame import black_out, training_neighbour
from .sample import RawClip

# fmt: off
CATEGORIES = (
    "airplane", "ape", "bear", "bike", "bird", "boat", "bucket", "bus", "camel", "cat", "cow", "crocodile", "deer",
    "dog", "dolphin", "duck", "eagle", "earless_seal", "elephant", "fish", "fox", "frisbee", "frog", "giant_panda",
    "giraffe", "hand", "hat", "hedgehog", "horse", "knife", "leopard", "lion", "lizard", "monkey", "motorbike",
    "mouse", "others", "owl", "paddle", "parachute", "parrot", "penguin", "person", "plant", "rabbit", "raccoon",
    "sedan", "shark", "sheep", "sign", "skateboard", "snail", "snake", "snowboard", "squirrel", "surfboard",
    "tennis_racket", "tiger", "toilet", "train", "truck", "turtle", "umbrella", "whale", "zebra",
)
# fmt: on


class YouTubeVOSDataset(ClipDataset):
    """Clips of `num_frames` frames of every expression; the reference of a frame is its neighbour (spec §3).

    Layout: `{root}/{split}/{JPEGImages,Annotations}/<video>/`, `{root}/{split}/meta.json`,
    `{root}/meta_expressions/{split}/meta_expressions.json`.
    """

    NAME = "ytvos"

    def __init__(
        self,
        root: str | Path,
        num_frames: int,
        transform: Transform,
        *,
        split: str = "train",
        classes: Sequence[str] | None = None,
        seed: int = 0,
        told_frames: bool = False,
    ):
        """Read the lists of videos and expressions; frames and masks are read with the samples.

        Args:
            root: the data set's folder.
            num_frames: T.
            transform: from a raw clip to a sample.
            split: which part; its expressions must name their objects.
            classes: category names in class order (`CATEGORIES`); None for one class, 0.
            seed: of all that is drawn.
            told_frames: clips start only in frames that tell what is meant, where the list says which do.

        Raises:
            InputError: a list is missing, malformed, or names a category that is not in `classes`.
        """
        super().__init__(transform, seed)
        self.num_frames = num_frames
        self.folder = Path(root) / split
        expressions = Path(root) / "meta_expressions" / split / "meta_expressions.json"
        videos = read_meta_expressions(expressions)
        _refuse_unnamed_objects(expressions, [e for video in videos for e in video.expressions])
        labels = _Labels(self.folder / "meta.json", classes) if classes is not None else None
        self.index = ClipIndex.build(videos, num_frames, labels or (lambda _: 0), told_frames=told_frames)
        if not len(self):
            way_out = "leave out --told_frames" if told_frames else "get the data set's own file"
            raise InputError(f"{expressions}: no expression in it to train on; {way_out}")

    def __len__(self) -> int:
        return len(self.index)

    def read(self, index: int, rng: np.random.Generator) -> RawClip:
        """Read clip `index`, T' = T. Raises InputError naming the file that is missing, broken or of another size."""
        clips = self.index
        expression = clips.expression[index]
        video = int(clips.video[expression])
        length = clips.length(video)
        positions = sample_clip(length, int(clips.start[index]), self.num_frames, rng)
        neighbours = [training_neighbour(position, length) for position in positions]
        # Frames and neighbours are often the same: each is decoded once.
        names = {position: clips.frame(video, position) for position in sorted({*positions, *neighbours})}
        images, masks = self._decode(clips.videos[video], names, int(clips.object_id[expression]))
        shown = ", ".join(names[position] for position in positions)
        return RawClip(
            frames=[images[position] for position in positions],
            reference=[black_out(images[position], masks[position]) for position in neighbours],
            masks=np.stack([masks[position] for position in positions]),
            caption=normalise_caption(clips.captions[expression]),
            label=int(clips.label[expression]),
            name=f"{self.NAME} {clips.videos[video]}, expression {clips.ids[expression]}, frames {shown}",
        )

    def _decode(
        self, video: str, names: dict[int, str], object_id: int
    ) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """Position → image uint8 [H, W, 3], position → mask bool [H, W]; one size for all."""
        images, masks, size = {}, {}, None
        for position, name in names.items():
            image_file = self.folder / "JPEGImages" / video / f"{name}.jpg"
            mask_file = self.folder / "Annotations" / video / f"{name}.png"
            images[position] = read_image(image_file)
            masks[position] = read_label_map(mask_file) == object_id
            size = size or images[position].shape[:2]
            for file, array in ((image_file, images[position]), (mask_file, masks[position])):
                if array.shape[:2] != size:
                    raise InputError(
                        f"{file}: {array.shape[1]}×{array.shape[0]} pixels, but the video's other images have "
                        f"{size[1]}×{size[0]}; fetch it again"
                    )
        return images, masks


class _Labels:
    """Class of an expression's object: the place of its category, which meta.json says, among the classes."""

    def __init__(self, file: Path, classes: Sequence[str]):
        self.file = file
        self.videos = read_videos(file)
        self.place = {name: place for place, name in enumerate(classes)}

    def __call__(self, expression: Expression) -> int:
        """The class. Raises InputError where there is none."""
        try:
            category = self.videos[expression.video]["objects"][expression.obj_id]["category"]
        except (KeyError, TypeError) as error:
            where = f"video {expression.video!r}, object {expression.obj_id!r}"
            raise InputError(f"{self.file}: {where}: no category; get the data set's own file") from error
        if not isinstance(category, str) or category not in self.place:
            raise InputError(
                f"{self.file}: video {expression.video!r}: category {category!r} is none of the {len(self.place)} "
                "classes; train with --binary, or take the data set that the classes are of"
            )
        return self.place[category]


def _refuse_unnamed_objects(file: Path, expressions: Sequence[Expression]) -> None:
    for expression in expressions:
        if expression.obj_id is None:
            raise InputError(
                f'{file}: video {expression.video!r}, expression {expression.id!r}: no "obj_id"; training needs it, '
                "and validation and test lists have none"
            )
