"""Video files, opened so that a file which only claims to be one reads no other and does not fill the memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from util.errors import InputError
from util.mask_io import MOST_PIXELS, refuse_huge

# FFmpeg's names. Left out are playlists (hls, concat, dash, …), which read other files, and text played as "tty".
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,flv,asf,ogg,mxf,dv,nut,"
    "yuv4mpegpipe,gif,apng"
)
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}


@contextmanager
def open_stream(path: str | Path) -> Iterator[av.VideoStream]:
    """The first stream of pictures of a video file; its container is open inside the `with`.

    Raises:
        FileNotFoundError: there is no such file.
        av.FFmpegError: it is damaged, or no video that is known here; also while frames are decoded.
        InputError: it is empty, holds no pictures, or its frames have more than MOST_PIXELS.
    """
    if not Path(path).stat().st_size:
        raise InputError(f"{path}: an empty file (0 bytes); copy or download the video again")
    # "file:": a colon in a name is no protocol. Titles in another encoding than UTF-8 do no harm.
    with av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace") as container:
        if not container.streams.video or container.streams.video[0].codec_context is None:  # None: of no known kind
            raise InputError(f"{path}: no video in this file; give a video file or a folder of images")
        stream = container.streams.video[0]
        refuse_huge(path, stream.width, stream.height)
        # What the frames themselves say counts too, and may change on the way.
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        yield stream
