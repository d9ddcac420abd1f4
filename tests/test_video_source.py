"""Videos in and out: folders in natural order, files decoded exactly and in any order, and what is refused."""

import struct

import numpy as np
import pytest
from PIL import Image

from datasets.video_source import FrameFolder, natural_key, open_video
from util.errors import InputError
from util.video_writer import VideoWriter

ONE = 1 << 16  # 1 in the fixed point numbers of an mp4's matrix


def picture(value, size=(32, 48)):
    """A flat picture with a white corner at the top left, smooth enough to survive 4:2:0."""
    image = np.full((*size, 3), value, np.uint8)
    image[: size[0] // 2, : size[1] // 2] = 255
    return image


def write_video(path, values=(0, 60, 120, 180), size=(32, 48), fps=10.0):
    with VideoWriter(path, fps) as writer:
        for value in values:
            writer.write(picture(value, size))
    return path


def save(path, image):
    Image.fromarray(image).save(path)
    return path


def test_natural_order():
    names = ["f10", "f9", "F1", "f1b", "10", "9", "a"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "F1", "f1b", "f9", "f10"]


def test_folder_of_images(tmp_path):
    for i in (10, 9, 1):
        save(tmp_path / f"frame {i}.png", picture(i))
    save(tmp_path / "frame 2.BMP", picture(2))
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._frame 1.png").write_bytes(b"a resource fork")
    with open_video(tmp_path) as video:
        assert video.names == ["frame 1", "frame 2", "frame 9", "frame 10"]
        assert (len(video), video.size, video.fps) == (4, (32, 48), 25.0)
        assert [int(frame[-1, -1, 0]) for frame in video] == [1, 2, 9, 10]
        assert video[3].dtype == np.uint8
        assert np.array_equal(video[-1], picture(10))
        with pytest.raises(IndexError):
            video[4]


def test_grey_and_transparent_images_become_rgb(tmp_path):
    files = [
        save(tmp_path / "0.png", picture(7)[..., 0]),
        save(tmp_path / "1.png", np.full((32, 48, 4), 9, np.uint8)),
    ]
    assert [frame.shape for frame in FrameFolder(files)] == [(32, 48, 3)] * 2


def test_one_image_is_a_video(tmp_path):
    with open_video(save(tmp_path / "one.png", picture(3))) as video:
        assert (len(video), video.names) == (1, ["one"])


@pytest.mark.parametrize("damage", ["missing", "truncated", "other size"])
def test_a_bad_frame_is_named_when_it_is_read(tmp_path, damage):
    rng = np.random.default_rng(0)
    files = [save(tmp_path / f"{i}.jpg", rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for i in range(3)]
    if damage == "missing":
        files[1].unlink()
    elif damage == "truncated":
        files[1].write_bytes(files[1].read_bytes()[:-500])
    else:
        save(files[1], picture(0))
    video = FrameFolder(files)
    assert video[0].shape == video[2].shape == (64, 64, 3)
    with pytest.raises(InputError, match=r"1\.jpg"):
        video[1]


def test_two_images_of_one_name(tmp_path):
    save(tmp_path / "0.png", picture(0))
    save(tmp_path / "0.jpg", picture(0))
    with pytest.raises(InputError, match="two images are named 0"), open_video(tmp_path):
        pass


def test_video_file_in_any_order_and_nothing_left_behind(tmp_path):
    path = write_video(tmp_path / "a: clip é.mp4")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_video(path, scratch) as video:
        assert (len(video), video.size, video.fps) == (4, (32, 48), 10.0)
        assert video.names == ["00000", "00001", "00002", "00003"]
        for i in (3, 0, 2, 1):
            assert np.abs(video[i].astype(int) - picture(60 * i)).mean() < 3
        assert any(scratch.iterdir())
    assert not any(scratch.iterdir())
    with pytest.raises(KeyError), open_video(path, scratch):
        raise KeyError
    assert not any(scratch.iterdir())


@pytest.mark.parametrize(
    ("matrix", "size", "white"),
    [
        ((0, ONE, 0, -ONE, 0, 0, 32 * ONE, 0, 1 << 30), (48, 32), (0, -1)),  # a quarter turn clockwise
        ((-ONE, 0, 0, 0, -ONE, 0, 48 * ONE, 32 * ONE, 1 << 30), (32, 48), (-1, -1)),
        ((0, -ONE, 0, ONE, 0, 0, 0, 48 * ONE, 1 << 30), (48, 32), (-1, 0)),
    ],
)
def test_phones_rotation_is_undone(tmp_path, matrix, size, white):
    path = write_video(tmp_path / "clip.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44  # where the track header keeps its matrix
    content[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    with open_video(path) as video:
        assert video.size == size
        frame = video[0][..., 0]
        assert frame[white] > 250
        assert sum(int(frame[y, x]) > 250 for y in (0, -1) for x in (0, -1)) == 1


def test_what_is_no_video(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "nothing.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("FFmpeg would play this as a terminal's output\n" * 50)
    for name in ("empty", "noise.mp4", "nothing.mp4", "notes.txt", "absent.mp4"):
        with pytest.raises(InputError, match=name), open_video(tmp_path / name):
            pass
    with pytest.raises(InputError, match="empty file"), open_video(tmp_path / "nothing.mp4"):
        pass
    with pytest.raises(InputError, match="without frames"):
        FrameFolder([])


def test_a_video_that_was_cut_off_is_not_silently_shorter(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "cut.mp4"
    with VideoWriter(path) as writer:
        for _ in range(20):
            writer.write(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.mp4: damaged after \d+ frames"), open_video(path):
        pass


@pytest.mark.parametrize("codecs", [None, set()])
def test_writer_pads_odd_sides_and_keeps_colours(tmp_path, monkeypatch, codecs):
    if codecs is not None:
        monkeypatch.setattr("av.codecs_available", codecs)  # as where FFmpeg has no H.264 encoder
    color = np.array([200, 30, 90], np.uint8)
    with VideoWriter(tmp_path / "new" / "odd.mp4", fps=30000 / 1001) as writer:
        for _ in range(3):
            writer.write(np.tile(color, (33, 51, 1)))
    with open_video(tmp_path / "new" / "odd.mp4") as video:
        assert (len(video), video.size) == (3, (34, 52))
        assert video.fps == pytest.approx(30000 / 1001, abs=1e-3)
        assert np.abs(video[2].astype(int) - color).max() < 8


@pytest.mark.parametrize("written", [0, 2])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_no_file_and_keeps_the_old_one(tmp_path, written, error):
    path = write_video(tmp_path / "clip.mp4")
    before = path.read_bytes()
    with pytest.raises(error), VideoWriter(path) as writer:
        for _ in range(written):
            writer.write(picture(0))
        raise error
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writer_refuses(tmp_path):
    with pytest.raises(InputError, match="no frame"), VideoWriter(tmp_path / "x.mp4"):
        pass
    with pytest.raises(ValueError, match="uint8"), VideoWriter(tmp_path / "x.mp4") as writer:
        writer.write(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="in a video of"), VideoWriter(tmp_path / "x.mp4") as writer:
        writer.write(picture(0))
        writer.write(picture(0, (16, 16)))
    with pytest.raises(ValueError, match="fps"):
        VideoWriter(tmp_path / "x.mp4", fps=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"), VideoWriter(tmp_path / "file" / "x.mp4"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
