"""Whether a file that somebody sent is a video, by its content, and within the limits."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from util.errors import InputError
from web.flags import Limits

# How files begin → the one reader of FFmpeg's that may open them. Left to guess, FFmpeg would also take playlists,
# which name further files and addresses for it to open.
CONTAINERS = (
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (4, b"wide", "mov"),
    (4, b"free", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (0, b"OggS", "ogg"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (188, b"\x47", "mpegts"),
)
MOST_NARROW = 10  # times the short side: the network enlarges a frame until that is long enough
KINDS = "mp4, mov, webm, mkv, avi, ogv or mpeg"


@dataclass(frozen=True)
class VideoFacts:
    """Frames, and the height and width in pixels of each."""

    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.frames} frame{'s' * (self.frames != 1)} of {self.width}×{self.height} pixels"


def inspect_video(path: Path, limits: Limits) -> VideoFacts:
    """Decode a whole video and count, because a header may say anything.

    Raises:
        InputError: it is no video, damaged, or over a limit. The message names no file: it is for the one who sent it.
    """
    try:
        with av.open(f"file:{path}", format=_container(path), options={"protocol_whitelist": "file"}) as container:
            return _count(container, limits)
    except av.FFmpegError as error:
        raise InputError(f"This video cannot be read ({error.strerror}). Convert it to mp4.") from error


def _container(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(256)
    if not start:
        raise InputError("This file is empty (0 bytes). Copy or download the video again.")
    for offset, mark, name in CONTAINERS:
        if start[offset:].startswith(mark):
            return name
    raise InputError(f"This is not a video, whatever its name says. Send {KINDS}.")


def _count(container: av.container.InputContainer, limits: Limits) -> VideoFacts:
    if not container.streams.video:
        raise InputError("There is no picture in this file, only sound or text. Send a video.")
    stream = container.streams.video[0]
    _check_size(stream.width, stream.height, limits)
    # A frame inside may be larger than the header says: the decoder is to refuse it before it takes memory for it.
    stream.codec_context.options = {"max_pixels": str(_padded(limits.max_pixels))}
    frames, size = 0, (0, 0)
    for packet in container.demux(stream):
        for frame in packet.decode():
            frames += 1
            size = size if frames > 1 else (frame.height, frame.width)
            _check_size(frame.width, frame.height, limits)
            if size != (frame.height, frame.width):
                raise InputError(f"Frame {frames} is of another size than the first. Convert the video to one size.")
            if frames > limits.max_frames:
                raise InputError(_too_long(stream, limits))
    if not frames:
        raise InputError("There is no frame in this video. Send another one.")
    return VideoFacts(frames, *(size[::-1] if round(frame.rotation / 90) % 2 else size))


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise InputError(
            f"Frames of {width}×{height} = {width * height:,} pixels; at most {limits.max_pixels:,} are taken. "
            "Scale the video down."
        )
    if max(width, height) > MOST_NARROW * min(width, height):
        raise InputError(
            f"Frames of {width}×{height} pixels are too narrow: one side may be {MOST_NARROW} times the other."
        )


def _padded(pixels: int) -> int:
    """What decoders ask for: sides are rounded up to whole blocks."""
    return pixels + pixels // 4 + 128 * 128


def _too_long(stream: av.VideoStream, limits: Limits) -> str:
    rate = stream.average_rate or Fraction(0)
    seconds = f" ({float(limits.max_frames / rate):.0f} seconds of this one)" if rate else ""
    return f"This video has more than {limits.max_frames} frames{seconds}, the most that are taken. Cut it."
