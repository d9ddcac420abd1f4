"""Videos as frames read when asked for: a folder of images, or a video file decoded once to lossless images.

A propagation walks outward from a key frame, so half of it goes backwards; a video codec cannot do that, and a list
of frames in memory grows with the video. Images on disk do both.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from PIL import Image

from util.errors import InputError
from util.files import cannot_write
from util.mask_io import open_image, read_image

from .video_file import open_stream

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
DEFAULT_FPS = 25.0  # what is assumed where nothing says how fast the frames follow each other


class FrameFolder(Sequence[np.ndarray]):
    """A video whose frames are image files; each is read anew when asked for, so memory does not grow.

    Attributes:
        files: the frames' files, in time order.
        names: the files' names without suffix.
        fps: frames per second.
    """

    def __init__(self, files: Sequence[str | Path], fps: float = DEFAULT_FPS) -> None:
        if not files:
            raise InputError("a video without frames; give it at least one image")
        self.files = [Path(file) for file in files]
        self.names = [file.stem for file in self.files]
        self.fps = fps

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first frame, which is the video's.

        Raises:
            InputError: it cannot be read.
        """
        # The header says it: no need to decode a frame that nobody may want.
        with open_image(self.files[0]) as image:
            return image.height, image.width

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame `index` as uint8 RGB [H, W, 3].

        Raises:
            IndexError: there is no such frame.
            InputError: its file is missing or damaged, or not of the first frame's size.
        """
        image = read_image(self.files[index])
        if image.shape[:2] != self.size:
            (height, width), (first_height, first_width) = image.shape[:2], self.size
            raise InputError(
                f"{self.files[index]}: {width}×{height} pixels, but the video's first frame has "
                f"{first_width}×{first_height}; all frames of a video must have one size"
            )
        return image


@contextmanager
def open_video(path: str | Path, scratch: str | Path | None = None) -> Iterator[FrameFolder]:
    """Open a folder of images (in natural order: 2 before 10), one image, or any video file that PyAV reads.

    A video file is decoded once, as a stream, to PNG files in a temporary folder, removed on leaving.

    Args:
        path: folder or file.
        scratch: where the temporary folder is made; the system's place for such by default.

    Raises:
        InputError: nothing is there, it holds no frame, it is not a video, or there is no room to decode it.
    """
    path = Path(path)
    if path.is_dir():
        yield FrameFolder(_images_in(path))
    elif path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        yield FrameFolder([path])
    elif path.is_file():
        with tempfile.TemporaryDirectory(prefix="tf2-frames-", dir=scratch) as folder:
            yield _decode(path, Path(folder))
    else:
        raise InputError(f"{path}: no such file or folder; give a video file or a folder of images")


def check_rgb(pixels: object, axes: str) -> None:
    """Raises InputError for anything but a NumPy array, uint8, of the shape that `axes` names, such as "H, W, 3"."""
    if not isinstance(pixels, np.ndarray):
        what = type(pixels).__name__
    elif pixels.dtype != np.uint8 or pixels.ndim != len(axes.split(",")) or pixels.shape[-1] != 3 or not pixels.size:
        what = f"{pixels.dtype} {list(pixels.shape)}"
    else:
        return
    raise InputError(f"frames must be a NumPy array, RGB uint8 [{axes}]; this is {what}")


def natural_key(name: str) -> list[str | int]:
    """Sort key that compares the runs of digits in a name as numbers."""
    # Splitting on a group puts text at even and digits at odd places: equal types always meet.
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def _images_in(folder: Path) -> list[Path]:
    """The images of a folder in natural order."""
    files = [
        file
        for file in folder.iterdir()
        # Hidden files are the thumbnails and resource forks that some systems leave beside images.
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    if not files:
        raise InputError(
            f"{folder}: no image in this folder ({', '.join(sorted(IMAGE_SUFFIXES))}); "
            "give the folder that holds the frames"
        )
    files.sort(key=lambda file: (natural_key(file.name), file.name))
    stems = [file.stem for file in files]
    if len(set(stems)) != len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"{folder}: two images are named {twice}; results are named after frames, so remove one")
    return files


def _decode(path: Path, folder: Path) -> FrameFolder:
    """Write every frame of a video file into `folder` as a PNG."""
    files: list[Path] = []
    try:
        with open_stream(path) as stream:
            stream.thread_type = "SLICE"  # threads across frames drop the error of a damaged last packet
            fps = float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)
            # `container.decode` would end quietly at damage, and results would be short without a word.
            for frame in (frame for packet in stream.container.demux(stream) for frame in packet.decode()):
                files.append(folder / f"{len(files):05d}.png")
                _write_frame(frame, files[-1])
    except av.FFmpegError as error:
        state = f"damaged after {len(files)} frames" if files else "not a video that can be read"
        raise InputError(f"{path}: {state} ({error.strerror}); convert it to mp4 or give a folder of images") from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not files:
        raise InputError(f"{path}: a video without frames; give another file")
    return FrameFolder(files, fps)


def _write_frame(frame: av.VideoFrame, file: Path) -> None:
    """Write one decoded frame upright; phones store them as the sensor lies and note the rotation beside them."""
    image = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90))
    # The lowest compression: the files live for minutes, and the time goes into packing them.
    Image.fromarray(np.ascontiguousarray(image)).save(file, compress_level=1)
