"""Write frames to an mp4 that every player and browser shows: H.264, 4:2:0, whole or not there at all."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from util.errors import InputError
from util.files import atomic_write

H264_QUALITY = "18"  # x264's constant rate factor: no loss that an eye finds
MPEG4_QUALITY = "3"  # the old codec's quantiser, of 1 (best) to 31


class VideoWriter:
    """Context manager; frames go to the encoder one by one, so memory does not grow.

    The file appears under its name when the block ends without an error. Sides are made even, as 4:2:0 needs, by
    repeating the last row or column.

        with VideoWriter("overlay.mp4", fps=25) as writer:
            for frame in frames:
                writer.write(frame)
    """

    def __init__(self, path: str | Path, fps: float = 25.0) -> None:
        if not 0 < fps < float("inf"):
            raise ValueError(f"fps must be positive, it is {fps}")
        self.path = Path(path)
        self.fps = Fraction(fps).limit_denominator(1001)  # 1001: television's 30000/1001 stays exact
        self._size: tuple[int, int] | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_write(self.path))
            temporary.touch()  # fails with the file's name in the error, which FFmpeg's errors lack
            # The index at the front lets a browser play the file while it loads.
            self._container = stack.enter_context(
                av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"})
            )
            self._cleanup = stack.pop_all()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 RGB [H, W, 3].

        Raises:
            ValueError: it is not of that form, or not of the first frame's size.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame must be uint8 [H, W, 3], this one is {frame.dtype} {list(frame.shape)}")
        if self._size is None:
            self._size = frame.shape[:2]
            self._stream = _add_stream(self._container, self.fps, self._size)
        if frame.shape[:2] != self._size:
            raise ValueError(f"a frame of {frame.shape[:2]} in a video of {self._size}")
        height, width = self._size
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        self._container.mux(self._stream.encode(picture))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if error is not None:
            return self._cleanup.__exit__(kind, error, traceback)
        with self._cleanup:
            if self._size is None:
                raise InputError(f"{self.path}: not written, because the video has no frame")
            self._container.mux(self._stream.encode())  # what the encoder still holds back
        return None


def _add_stream(container: av.container.OutputContainer, fps: Fraction, size: tuple[int, int]) -> av.VideoStream:
    """The video stream, of H.264 where FFmpeg was built with it, tagged with the colours it is written in."""
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=fps, options={"crf": H264_QUALITY})
    else:
        stream = container.add_stream("mpeg4", rate=fps, options={"qmin": MPEG4_QUALITY, "qmax": MPEG4_QUALITY})
    stream.height, stream.width = (side + side % 2 for side in size)
    stream.pix_fmt = "yuv420p"
    # Without tags a player guesses by the picture's size, and colours shift.
    stream.codec_context.colorspace = Colorspace.ITU709
    stream.codec_context.color_range = ColorRange.MPEG
    stream.codec_context.color_primaries = ColorPrimaries.BT709
    stream.codec_context.color_trc = ColorTrc.BT709
    return stream
