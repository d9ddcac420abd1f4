"""Images, masks and videos that are damaged, of odd kinds, or claim to be huge."""

import resource
import struct
import zlib
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from datasets.a2d import index_video, read_frames
from datasets.key_frames import KeyChoice
from datasets.video_source import FrameFolder, open_video
from davis2017.png import read_ids
from tests.faults.refusals import damaged, put, tally
from tools.scoring.png import decode_mask
from util.errors import InputError
from util.mask_io import MOST_PIXELS, davis_palette, read_image, read_label_map

LABELS = (np.add.outer(np.arange(24), np.arange(32)) // 9).astype(np.uint8)
PICTURE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
MOST_MIB = 1024  # of memory that reading anything may add: MOST_PIXELS in RGB, and copies


def encoded(image, kind="PNG", **options):
    file = BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def png(width, height, bits, colour, rows, *chunks, level=-1):
    """A PNG of any header, with the bytes `rows` for its pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(rows, level)), (b"IEND", b"")]
    chunk = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk)


def palette_png():
    image = Image.fromarray(LABELS)
    image.putpalette(davis_palette())
    return encoded(image)


MASKS = {
    "davis2017": (palette_png(), read_ids, lambda ids: (ids == LABELS).all()),
    "palette": (palette_png(), read_label_map, lambda ids: (ids == LABELS).all()),
    "grey": (encoded(Image.fromarray(LABELS)), read_label_map, lambda ids: (ids == LABELS).all()),
}


@pytest.mark.parametrize("kind", MASKS)
def test_damaged_masks_are_never_others(tmp_path, kind):
    """A damaged mask is refused, or the damage is where nothing is read: no score changes in silence."""
    whole, read, right = MASKS[kind]
    path = put(tmp_path / "mask.png", whole)
    assert right(read(path))
    with tally("bad masks: cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            tries.settled(lambda: read(path), str(path), right=right)

        tries.each(damaged(whole), attempt)


def test_damaged_results_are_never_others():
    whole = encoded(Image.fromarray(np.where(LABELS > 2, np.uint8(255), np.uint8(0))))
    with tally("bad results: a mask cut off or with changed bytes") as tries:

        def attempt(data):
            tries.tried += 1
            try:
                assert (decode_mask(data, LABELS.shape).pixels == (LABELS > 2)).all()
            except ValueError as error:
                assert str(error).startswith(("is ", "has ", "holds "))
            tries.survived += 1

        tries.each(damaged(whole), attempt)


PICTURES = {"a.jpg": ("JPEG", {}), "a.png": ("PNG", {}), "a.webp": ("WEBP", {}), "a.bmp": ("BMP", {})}


@pytest.mark.parametrize("name", PICTURES)
def test_damaged_frames(tmp_path, name):
    kind, options = PICTURES[name]
    whole = encoded(Image.fromarray(PICTURE), kind, **options)
    path = put(tmp_path / name, whole)
    assert read_image(path).shape == PICTURE.shape
    with tally("bad frames: cut off or with changed bytes") as tries:
        for length in (0, 1, 7, 20, len(whole) // 2):
            path.write_bytes(whole[:length])
            tries.refused(lambda: read_image(path), str(path))

        def attempt(data):
            path.write_bytes(data)
            tries.settled(lambda: read_image(path), str(path), right=lambda image: image.dtype == np.uint8)
            tries.settled(lambda: FrameFolder([path])[0], str(path))

        tries.each(damaged(whole), attempt)


SIXTEEN = Image.fromarray((LABELS.astype(np.uint16) + 1) * 300)
NOT_MASKS = {
    "16 bits": encoded(SIXTEEN),
    "ids over 255": encoded(Image.fromarray(LABELS.astype(np.uint16) + 255)),
    "colour": encoded(Image.fromarray(PICTURE)),
    "colour and alpha": encoded(Image.fromarray(PICTURE).convert("RGBA")),
    "grey and alpha": encoded(Image.fromarray(LABELS).convert("LA")),
    "one bit": encoded(Image.fromarray(LABELS > 3)),
    "2 bits grey": png(4, 1, 2, 0, b"\0\x1b"),
    "4 bits grey": png(4, 1, 4, 0, b"\0\x01\x23"),
    "JPEG": encoded(Image.fromarray(LABELS), "JPEG"),
    "GIF": encoded(Image.fromarray(LABELS), "GIF"),
    "floats": encoded(Image.fromarray(LABELS.astype(np.float32)), "TIFF"),
    "empty": b"",
    "text": b"not an image",
    "no pixels": png(0, 0, 8, 0, b""),
}


@pytest.mark.parametrize("kind", NOT_MASKS)
def test_other_kinds_of_masks(tmp_path, kind):
    path = put(tmp_path / "00000.png", NOT_MASKS[kind])
    with tally("bad masks: 16 bits, RGBA, JPEG, ids over 255 and other kinds") as tries:
        tries.refused(lambda: read_label_map(path), str(path))
        tries.refused(lambda: read_ids(path), str(path))
        tries.refused(lambda: KeyChoice((0,), {0: path}).mask(0, LABELS.shape), str(path))


def test_masks_that_are_odd_but_clear(tmp_path):
    """A palette that is missing or short changes no id."""
    row = b"\0\x00\x01\x02\x07"
    with tally("odd masks: palette missing or of few bits") as tries:
        for data, ids in (
            (png(4, 1, 8, 3, row), [0, 1, 2, 7]),
            (png(4, 1, 8, 3, row, (b"PLTE", bytes(6))), [0, 1, 2, 7]),
            (png(4, 1, 2, 3, b"\0\x1b", (b"PLTE", bytes(12))), [0, 1, 2, 3]),
        ):
            path = put(tmp_path / "mask.png", data)
            tries.settled(lambda: read_label_map(path), right=lambda found: found.tolist() == [ids])  # noqa: B023
            tries.settled(lambda: read_ids(path), right=lambda found: found.tolist() == [ids])  # noqa: B023


def test_frames_of_other_kinds(tmp_path):
    """Transparency is dropped, 16 bits become 8; what has no meaning as a picture is refused."""
    with tally("odd frames: 16 bits, RGBA, palettes, CMYK") as tries:
        for image in (SIXTEEN, *(Image.fromarray(PICTURE).convert(mode) for mode in ("RGBA", "LA", "P", "1", "L"))):
            path = put(tmp_path / "a.png", encoded(image))
            tries.settled(lambda: read_image(path), right=lambda found: found.shape == PICTURE.shape)  # noqa: B023
        path = put(tmp_path / "a.jpg", encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"))
        tries.settled(lambda: read_image(path), right=lambda found: found.shape == PICTURE.shape)
        path = put(tmp_path / "a.png", png(4, 1, 8, 3, b"\0\x00\x01\x02\x07"))
        tries.refused(lambda: read_image(path), str(path), "palette")


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


SIDE = 8193  # one row more than MOST_PIXELS
BOMBS = {
    "PNG just over the limit": png(SIDE, 8192, 8, 0, b""),
    "PNG of 4·10¹⁸ pixels": png(2**31 - 1, 2**31 - 1, 8, 3, b"", (b"PLTE", bytes(6))),
    "PNG that unpacks to 2 GB": png(30_000, 65_000, 8, 3, bytes(1 << 20), (b"PLTE", bytes(6))),
    "one thin row": png(MOST_PIXELS + 1, 1, 8, 0, b""),
    "JPEG": encoded(Image.fromarray(PICTURE), "JPEG").replace(
        struct.pack(">HH", 24, 32), struct.pack(">HH", 65000, 65000)
    ),
    "text of 200 MB": png(4, 1, 8, 0, b"\0abcd", (b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20)))),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_decompression_bombs(tmp_path, kind):
    path = put(tmp_path / "bomb.png", BOMBS[kind])
    before = peak_mib()
    with tally("decompression bombs: images") as tries:
        for read in (read_image, read_label_map, read_ids, lambda path: FrameFolder([path]).size):
            tries.settled(lambda: read(path), str(path), right=lambda found: np.size(found) < 100)  # noqa: B023
    assert peak_mib() - before < MOST_MIB


def test_more_pixels_than_the_header_says(tmp_path):
    """A small header over a stream that unpacks to 256 MB: never unpacked."""
    row = b"\0\1\2\3\4"
    path = put(tmp_path / "swollen.png", png(4, 1, 8, 3, row + bytes(1 << 28), (b"PLTE", bytes(6)), level=1))
    before = peak_mib()
    with tally("decompression bombs: images") as tries:
        tries.settled(lambda: read_ids(path), str(path), right=lambda ids: ids.tolist() == [[1, 2, 3, 4]])
    assert peak_mib() - before < 100


# ---- videos


def video(path, size=(48, 64), frames=6, codec="mpeg4", **how):
    with av.open(str(path), "w", **how) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            image = np.full((*size, 3), number * 30, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


def decoded(path):
    with open_video(path, path.parent) as frames:
        return [frame.shape for frame in frames]


def clip(path):
    index_video.cache_clear()
    return [image.shape for image in read_frames(path, [0, 5])]


READERS = {"your own": decoded, "A2D": clip}


@pytest.mark.parametrize("reader", READERS)
def test_damaged_videos(tmp_path, reader):
    read, path = READERS[reader], video(tmp_path / "clip.mp4")
    whole = path.read_bytes()
    assert set(read(path)) == {(48, 64, 3)}
    with tally("bad videos: cut off or with changed bytes") as tries:

        def attempt(data):
            path.write_bytes(data)
            try:
                tries.settled(lambda: read(path), str(path), right=bool)
            except IndexError:  # A2D's reader: the frame is not in the index that was read
                tries.survived += 1

        tries.each(damaged(whole), attempt)


@pytest.mark.parametrize("reader", READERS)
def test_no_videos(tmp_path, reader):
    read, path = READERS[reader], tmp_path / "clip.mp4"
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with tally("bad videos: other files in their place, or none") as tries:
        tries.refused(lambda: read(path), str(path))
        for data in (b"", b"\0" * 100, b"some text\n" * 100, palette_png(), (tmp_path / "sound.mp4").read_bytes()):
            path.write_bytes(data)
            tries.settled(lambda: read(path), str(path))


def test_a_video_of_huge_frames(tmp_path):
    """What the frames say counts; a container's header alone makes nothing huge."""
    path = video(tmp_path / "clip.avi", codec="mjpeg", format="avi")
    whole, before = path.read_bytes(), peak_mib()
    in_header, in_frames = struct.pack("<II", 64, 48), struct.pack(">HH", 48, 64)
    assert in_header in whole and in_frames in whole
    with tally("decompression bombs: videos") as tries:
        path.write_bytes(whole.replace(in_header, struct.pack("<II", 60_000, 60_000)))
        tries.settled(lambda: decoded(path), str(path), right=lambda shapes: set(shapes) == {(48, 64, 3)})
        path.write_bytes(whole.replace(in_frames, struct.pack(">HH", 60_000, 60_000)))
        tries.refused(lambda: decoded(path), str(path))
    assert peak_mib() - before < MOST_MIB


def test_frames_that_change_size(tmp_path):
    one, other = (video(tmp_path / f"{size[0]}.m4v", size, format="m4v").read_bytes() for size in ((48, 64), (64, 48)))
    path = put(tmp_path / "both.m4v", one + other)
    with tally("bad videos: frames of several sizes") as tries:
        tries.refused(lambda: decoded(path), "64×48")


def test_key_masks_of_another_size(tmp_path):
    path = put(tmp_path / "mask.png", palette_png())
    with tally("bad masks: of another size than the frame") as tries:
        tries.refused(lambda: KeyChoice((0,), {0: path}).mask(0, (24, 31)), str(path))
    with pytest.raises(InputError):
        read_label_map(tmp_path / "none.png")
