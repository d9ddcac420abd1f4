"""JHMDB-Sentences (spec §5): windows around one chosen frame of a folder of images, for evaluation."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from util.errors import InputError
from util.mask_io import object_mask, read_image
from util.names import as_number, is_safe_name

from .a2d import evaluation_window, read_sample_list
from .clip_dataset import ClipDataset, Transform
from .expressions import normalise_caption
from .mat_file import read_array
from .sample import RawClip

SAMPLES = "jhmdb_sentences_samples_metadata.json"
GROUND_TRUTH = "jhmdb_sentences_gt_annotations_in_coco_format.json"
LONGEST_VIDEO = 100_000  # frames; JHMDB's have 40


class JHMDBSentence(NamedTuple):
    """One entry of the sample list; paths are relative to the data set's folder, `frame` counts from 1."""

    text: str
    video: str
    frame: int
    length: int
    images: str
    mask: str


class JHMDBDataset(ClipDataset):
    """One window for each chosen frame of each video (2,784 of 928).

    The reference is all zeros, for ground truth may not be looked at: tracking takes its references from predictions,
    made from the stream of the video (`frame_files`). No sample is replaced, since each one counts.
    """

    def __init__(self, root: str | Path, num_frames: int, transform: Transform, seed: int = 0):
        """Read the sample list below `root`. Raises InputError where it is malformed."""
        super().__init__(transform, seed, training=False)
        self.root = Path(root)
        self.num_frames = num_frames
        self.sentences = read_samples(self.root / SAMPLES)

    def __len__(self) -> int:
        return len(self.sentences)

    def image_id(self, index: int) -> str:
        """The id of sample `index` in the ground truth."""
        sentence = self.sentences[index]
        return f"v_{sentence.video}_f_{sentence.frame}"

    def frame_files(self, index: int) -> list[Path]:
        """All frames of the video of sample `index`, in time order."""
        sentence = self.sentences[index]
        return [self.root / sentence.images / f"{frame:05d}.png" for frame in range(1, sentence.length + 1)]

    def read(self, index: int, rng: np.random.Generator) -> RawClip:
        """Read sample `index`: T' = 1; nothing is random. Raises InputError naming the broken file."""
        sentence, files = self.sentences[index], self.frame_files(index)
        window, annotated = evaluation_window(sentence.length, sentence.frame - 1, self.num_frames)
        images = {position: read_image(files[position]) for position in set(window)}
        frames = [images[position] for position in window]
        mask_file = self.root / sentence.mask
        mask = read_mask(mask_file, sentence.frame - 1)
        if any(image.shape[:2] != mask.shape for image in frames):
            raise InputError(f"{mask_file}: its masks {mask.shape} are not of the size of the frames beside {files[0]}")
        return RawClip(
            frames=frames,
            reference=[np.zeros_like(frames[annotated])],
            masks=mask[None],
            caption=normalise_caption(sentence.text),
            label=0,
            name=f"jhmdb {sentence.video}, frame {sentence.frame}",
            annotated=annotated,
            image_id=self.image_id(index),
        )


def read_mask(path: Path, position: int) -> np.ndarray:
    """The puppet's mask in the frame at `position` (from 0), bool [H, W].

    Raises:
        InputError: the .mat file is missing, damaged, of MATLAB 7.3, or has no such frame.
    """
    masks = read_array(path, "part_mask")
    if masks is None:
        raise InputError(f"{path}: no part_mask in it; download it again")
    if masks.ndim == 2:  # MATLAB drops a last axis of one
        masks = masks[..., None]
    if masks.ndim != 3 or position >= masks.shape[2]:
        raise InputError(f"{path}: masks of shape {masks.shape}, but frame {position + 1} is wanted; download it again")
    try:
        return object_mask(masks[..., position])
    except ValueError as error:
        raise InputError(f"{path}: frame {position + 1}: {error}; download it again") from error


def read_samples(path: Path) -> list[JHMDBSentence]:
    """The sample list. Raises InputError where it is malformed."""
    return [_sentence(f"{path}: sample {number}", entry) for number, entry in enumerate(read_sample_list(path))]


def _sentence(where: str, entry: object) -> JHMDBSentence:
    """One checked entry: [video, chosen frame's path, mask's path, frame count, text]."""
    if not isinstance(entry, list) or [type(part) for part in entry] != [str, str, str, int, str]:
        raise InputError(f"{where} must be [video, frame path, mask path, frame count, text], it is {entry!r}")
    video, image, mask, length, text = entry
    image, mask = _within(where, image), _within(where, mask)
    frame = as_number(image.stem) or 0
    if not 1 <= frame <= length <= LONGEST_VIDEO or not text.strip():
        raise InputError(f"{where}: frame {image.name} of {length} frames, text {text!r}; download the list again")
    return JHMDBSentence(text, video, frame, length, str(image.parent), str(mask))


def _within(where: str, path: str) -> PurePosixPath:
    """The path below the data set's own folder, whose name the list fixes and users choose."""
    parts = PurePosixPath(path).parts[1:]
    if not parts or not all(is_safe_name(part) for part in parts):
        raise InputError(
            f"{where}: {path!r} is not a path such as ./jhmdb_sentences/Rename_Images/...; get the list again"
        )
    return PurePosixPath(*parts)
