"""The data sets: from files on disk to batches for the network (spec §3, §5)."""

from util.errors import InputError
from util.settings import Settings

from . import davis, refexp, ytvos
from .a2d import A2DDataset
from .clip_dataset import ClipDataset, Transform
from .davis import DavisDataset
from .jhmdb import JHMDBDataset
from .joint import ConcatClips
from .refexp import RefExpDataset
from .transforms import REFCOCO_RANGE, EvalTransform, TrainTransform, video_range
from .ytvos import YouTubeVOSDataset


def build_dataset(settings: Settings, image_set: str) -> ClipDataset:
    """The data set that `--dataset_file` names.

    Args:
        settings: the run's; paths, T, classes and seed are read from them.
        image_set: "train"; or "val" or "test", which are one set for A2D (its test list) and JHMDB, and which
            RefCOCO/+/g read from `instances_{set}_{image_set}.json`.

    Raises:
        InputError: the set has no such part, or its files are missing or malformed.
        ValueError: `image_set` is none of the three.
    """
    if image_set not in ("train", "val", "test"):
        raise ValueError(f"image_set is train, val or test, not {image_set!r}")
    return _training_set(settings) if image_set == "train" else _evaluation_set(settings, image_set)


def _training_set(settings: Settings) -> ClipDataset:
    name, data, seed = settings.data.dataset_file, settings.data, settings.run.seed
    binary = settings.model.num_classes == 1
    options = {"reference_augmentation": data.reference_augmentation, "caption_flip": data.caption_flip}
    range_of_videos = video_range(data.max_size, data.train_short_sides, data.crop_share)
    video = TrainTransform(range_of_videos, colours=data.colour_augmentation, **options)
    clips = {"seed": seed, "told_frames": data.told_frames}
    if name == "ytvos":
        classes = None if binary else ytvos.CATEGORIES
        return YouTubeVOSDataset(data.ytvos_path, data.num_frames, video, classes=classes, **clips)
    if name == "davis":
        classes = None if binary else davis.CATEGORIES
        return DavisDataset(data.davis_path, data.num_frames, video, classes=classes, **clips)
    if name == "a2d":
        return A2DDataset(data.a2d_path, "train", data.num_frames, video, seed)
    if name == "jhmdb":
        raise InputError("--dataset_file jhmdb has no training set: train on a2d and evaluate its checkpoint here")
    if name == "joint":
        return _joint_set(settings, video)
    # Pretraining: one image a clip, whatever --num_frames says (spec §3).
    images = TrainTransform(REFCOCO_RANGE, colours="none", **options)
    if name == "all":
        return ConcatClips([_refexp_set(settings, part, "train", images) for part in refexp.NAMES])
    return _refexp_set(settings, name, "train", images)


def _joint_set(settings: Settings, transform: Transform) -> ClipDataset:
    """RefCOCO/+/g as pseudo-clips, and Ref-YouTube-VOS."""
    if settings.model.num_classes != 1:
        raise InputError("--dataset_file joint needs --binary: its data sets count their classes differently")
    data = settings.data
    images = [_refexp_set(settings, name, "train", transform, data.num_frames) for name in refexp.NAMES]
    videos = YouTubeVOSDataset(
        data.ytvos_path, data.num_frames, transform, seed=settings.run.seed, told_frames=data.told_frames
    )
    return ConcatClips([*images, videos])


def _evaluation_set(settings: Settings, image_set: str) -> ClipDataset:
    name, data, transform = settings.data.dataset_file, settings.data, EvalTransform()
    if name == "a2d":
        return A2DDataset(data.a2d_path, "test", data.num_frames, transform, settings.run.seed)
    if name == "jhmdb":
        return JHMDBDataset(data.jhmdb_path, data.num_frames, transform, settings.run.seed)
    if name in refexp.NAMES:
        return _refexp_set(settings, name, image_set, transform)
    if name == "all":
        raise InputError("RefCOCO, RefCOCO+ and RefCOCOg are evaluated one by one: --dataset_file refcoco, and so on")
    script = "inference_davis.py" if name == "davis" else "inference_ytvos.py"
    raise InputError(f"--dataset_file {name} is evaluated on whole videos: run {script}")


def _refexp_set(
    settings: Settings, name: str, image_set: str, transform: Transform, num_frames: int = 1
) -> RefExpDataset:
    return RefExpDataset(
        settings.data.coco_path,
        name,
        image_set,
        transform,
        num_frames=num_frames,
        binary=settings.model.num_classes == 1,
        caption_case=settings.data.caption_case,
        seed=settings.run.seed,
    )
