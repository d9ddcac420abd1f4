"""RefCOCO, RefCOCO+ and RefCOCOg (spec §5): images with one sentence and one object each, as clips of random views."""

import json
from array import array
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from util.coco_rle import checked_rle
from util.errors import InputError
from util.mask_io import read_image
from util.names import is_safe_name

from .clip_dataset import ClipDataset, Transform
from .expressions import normalise_caption
from .packed_strings import PackedStrings
from .pseudo_clip import pseudo_clip, random_view
from .reference_frame import black_out, training_neighbour
from .sample import RawClip

NAMES = ("refcoco", "refcoco+", "refcocog")
LARGEST_CATEGORY = 90  # COCO numbers its 80 categories 1…90
LARGEST_ID = (1 << 63) - 1


class RefExpDataset(ClipDataset):
    """One clip for each sentence.

    Training: the image alone (`num_frames` 1), its reference another random view of it, or a pseudo-clip whose frames
    refer to each other as a video's do (spec §3, ours).
    Otherwise: the image alone. The reference is all zeros, for ground truth may not be looked at, and no sample is
    replaced, since each one counts.
    """

    def __init__(
        self,
        root: str | Path,
        name: str,
        image_set: str,
        transform: Transform,
        *,
        num_frames: int = 1,
        binary: bool = False,
        caption_case: str = "lower",
        seed: int = 0,
    ):
        """Read the index.

        Args:
            root: holds `train2014/` and `{name}/instances_{name}_{image_set}.json`.
            name: one of `NAMES`.
            image_set: "train" or "val".
            transform: augmentation.
            num_frames: T in training.
            binary: one class (0) instead of COCO's category ids.
            caption_case: as `normalise_caption` takes it.
            seed: of all draws.

        Raises:
            InputError: the index is missing or malformed.
        """
        super().__init__(transform, seed, training=image_set == "train")
        self.name = name
        self.images = Path(root) / "train2014"
        self.num_frames = num_frames if self.training else 1
        self.binary = binary
        self.caption_case = caption_case
        self.index = read_index(Path(root) / name / f"instances_{name}_{image_set}.json")

    def __len__(self) -> int:
        return len(self.index)

    def image_id(self, index: int) -> int:
        """The id of sample `index` in the ground truth, which is the file itself."""
        return int(self.index.image_ids[index])

    def read(self, index: int, rng: np.random.Generator) -> RawClip:
        """Read sample `index`: T' = T. Raises InputError naming the broken file."""
        entry = self.index[index]
        file = self.images / entry.file_name
        image = read_image(file)
        if image.shape[:2] != entry.size:
            raise InputError(f"{file}: {image.shape[:2]} pixels, but {self.name} says {entry.size}; fetch it again")
        frames, masks, reference = self._clip(image, entry.mask(), rng)
        return RawClip(
            frames=frames,
            reference=reference,
            masks=masks,
            caption=normalise_caption(entry.caption, self.caption_case),
            label=0 if self.binary else entry.category,
            name=f"{self.name} {entry.file_name}, sentence {entry.image_id}",
            image_id=entry.image_id,
        )

    def _clip(
        self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
    ) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
        """Frames, masks [T, H, W] and reference frames."""
        if not self.training:
            return [image], mask[None], [np.zeros_like(image)]
        if self.num_frames == 1:
            return [image], mask[None], [black_out(*random_view(image, mask, rng))]
        frames, masks = pseudo_clip(image, mask, self.num_frames, rng)
        refers = [training_neighbour(position, self.num_frames) for position in range(self.num_frames)]
        return frames, masks, [black_out(frames[i], masks[i]) for i in refers]


@dataclass(frozen=True)
class RefExpEntry:
    """One sentence: its image, and its object as a compressed run-length code of an image of `size` (H, W)."""

    file_name: str
    caption: str
    image_id: int
    category: int
    size: tuple[int, int]
    counts: str

    def mask(self) -> np.ndarray:
        """The object, bool [H, W]."""
        return coco_mask.decode({"size": list(self.size), "counts": self.counts}).astype(bool)


@dataclass(frozen=True)
class RefExpIndex:
    """What a split's JSON says, N sentences, compactly; images and objects that sentences share are there once.

    At the size of RefCOCO's training split (120,144 sentences, 42,404 objects, 16,994 images; synthetic outlines of
    898 bytes) it takes 44 MB, where pycocotools' index of the same file (141 MB) takes 590 MB; reading it takes 7 s
    and 390 MB for that time.

    captions    N sentences
    image_ids   [N] int64, the ids of the JSON's image entries, one a sentence
    files       [N] int32 into file_names and sizes
    objects     [N] int32 into counts and categories
    file_names  names below train2014/
    sizes       [files, 2] int32 (H, W)
    counts      compressed run-length codes
    categories  [objects] uint8 COCO category id
    """

    captions: PackedStrings
    image_ids: np.ndarray
    files: np.ndarray
    objects: np.ndarray
    file_names: PackedStrings
    sizes: np.ndarray
    counts: PackedStrings
    categories: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> RefExpEntry:
        file, described = int(self.files[index]), int(self.objects[index])
        return RefExpEntry(
            file_name=self.file_names[file],
            caption=self.captions[index],
            image_id=int(self.image_ids[index]),
            category=int(self.categories[described]),
            size=tuple(self.sizes[file].tolist()),
            counts=self.counts[described],
        )


def read_index(path: Path) -> RefExpIndex:
    """Read a split's COCO file: one image entry and one annotation for each sentence.

    Raises:
        InputError: it is missing or malformed; the message names the entry.
    """
    images, annotations = _read_json(path)
    files: dict[tuple[str, tuple[int, int]], int] = {}
    objects: dict[tuple[int, int, str], int] = {}
    captions, rows = [], []
    for number, image in enumerate(images):
        try:
            name, size, caption, image_id = _checked_image(image)
            file = files.setdefault((name, size), len(files))
            described = (file, *_checked_object(annotations[image_id], size))
        except (KeyError, TypeError, ValueError, InputError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise InputError(f"{path}: image entry {number}: {reason}; convert the data again") from error
        captions.append(caption)
        rows.append((image_id, file, objects.setdefault(described, len(objects))))
    image_ids, places, described = np.array(rows, np.int64).T
    return RefExpIndex(
        captions=PackedStrings(captions),
        image_ids=image_ids.copy(),
        files=places.astype(np.int32),
        objects=described.astype(np.int32),
        file_names=PackedStrings(name for name, _ in files),
        sizes=np.array([size for _, size in files], np.int32),
        counts=PackedStrings(counts for _, _, counts in objects),
        categories=np.array([category for _, category, _ in objects], np.uint8),
    )


def _read_json(path: Path) -> tuple[list[dict], dict[int, dict]]:
    """The image entries, and the annotation of each image id; outlines already compact."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_hook=_with_compact_outline)
    except OSError as error:
        how = "check --coco_path, or make it with tools/data/convert_refexp_to_coco.py"
        raise InputError(f"{path}: cannot be read ({error.strerror}); {how}") from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: not COCO's JSON ({error}); convert the data again") from error
    images, annotations = (content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list) or not images:
        raise InputError(f'{path}: must hold the lists "images" and "annotations"; convert the data again')
    named = (entry for entry in annotations if isinstance(entry, dict) and isinstance(entry.get("image_id"), int))
    by_image = {entry["image_id"]: entry for entry in named}
    if not len(by_image) == len(annotations) == len(images):
        raise InputError(f"{path}: not one annotation for each image entry; convert the data again")
    return images, by_image


def _with_compact_outline(entry: dict) -> dict:
    """An annotation as the parser meets it, its polygons packed: as lists of numbers they are most of the memory."""
    outline = entry.get("segmentation")
    if isinstance(outline, list):
        entry["segmentation"] = tuple(array("d", polygon).tobytes() for polygon in outline)
    return entry


def _checked_image(image: dict) -> tuple[str, tuple[int, int], str, int]:
    """File name, (H, W), sentence and id of an image entry."""
    name, caption, numbers = image["file_name"], image["caption"], [image[key] for key in ("height", "width", "id")]
    if not is_safe_name(name):
        raise ValueError(f"{name!r} cannot be a file's name")
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"the caption must be a sentence that is not empty, it is {caption!r}")
    if any(type(number) is not int or abs(number) > LARGEST_ID for number in numbers) or min(numbers[:2]) < 1:
        raise ValueError(f"height, width and id must be whole numbers of 63 bits, they are {numbers}")
    height, width, image_id = numbers
    return name, (height, width), caption, image_id


def _checked_object(annotation: dict, size: tuple[int, int]) -> tuple[int, str]:
    """Category and compressed run-length code of an annotation in an image of `size`."""
    category, outline = annotation["category_id"], annotation["segmentation"]
    if type(category) is not int or not 1 <= category <= LARGEST_CATEGORY:
        raise ValueError(f"category {category!r} is not COCO's")
    if isinstance(outline, tuple):
        return category, _polygons_to_code(outline, size)
    return category, checked_rle(outline, size, "segmentation")["counts"].decode()


@lru_cache(maxsize=1)  # an object's sentences follow one another
def _polygons_to_code(polygons: tuple[bytes, ...], size: tuple[int, int]) -> str:
    """Packed polygons → the compressed run-length code of their union."""
    points = [np.frombuffer(polygon).tolist() for polygon in polygons]
    return checked_rle(points, size, "segmentation")["counts"].decode()
