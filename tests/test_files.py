"""util/files.py, util/mask_io.py and util/submission.py: whole or not there, and one clear line otherwise."""

import errno
import os
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageFile

from util import files
from util.errors import InputError
from util.files import atomic_folder, atomic_write, make_output_folder, replace_folder
from util.mask_io import davis_palette, read_image, read_label_map, write_label_map, write_mask
from util.submission import write_submission


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def failing(code):
    def fail(*_args, **_options):
        raise OSError(code, os.strerror(code))

    return fail


# ---- files


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_appears_when_it_is_whole(tmp_path, durable):
    target = tmp_path / "new" / "a.txt"
    with atomic_write(target, durable=durable) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == ".txt" and temporary.name.startswith(".")
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole" and names(target.parent) == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_links_are_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with atomic_write(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "real.txt").read_text() == "new" and (tmp_path / "link.txt").is_symlink()


def test_long_names_fit(tmp_path):
    with atomic_write(tmp_path / ("ü" * 120 + ".txt")) as temporary:
        temporary.write_text("a")


@pytest.mark.parametrize("context", [atomic_write, atomic_folder])
def test_places_that_cannot_be_written_are_named(tmp_path, context, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*file.*a.*: .*stands where"), context(tmp_path / "file/a"):
        pytest.fail("must not get here")
    in_the_way = tmp_path / ("folder" if context is atomic_write else "file")
    with pytest.raises(InputError, match="stands where"), context(in_the_way) as temporary:
        if context is atomic_write:
            temporary.write_text("a")
    with pytest.raises(InputError, match="free some space"), context(tmp_path / "b"):
        failing(errno.ENOSPC)()
    monkeypatch.setattr(files.Path, "mkdir", failing(errno.EROFS))
    with pytest.raises(InputError, match=r"cannot write .*c: Read-only file system; make it writable"):
        context(tmp_path / "c").__enter__()
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("context", [atomic_write, atomic_folder])
def test_failures_of_other_files_are_not_blamed_on_the_target(tmp_path, context):
    with pytest.raises(FileNotFoundError), context(tmp_path / "a"):
        (tmp_path / "other").read_text()
    with pytest.raises(BrokenPipeError), context(tmp_path / "a"):
        failing(errno.EPIPE)()
    assert names(tmp_path) == []


def test_a_folder_appears_when_it_is_whole_and_replaces_the_old(tmp_path):
    for round_ in ("first", "second"):
        with atomic_folder(tmp_path / "deep" / "video") as temporary:
            assert temporary.name.startswith(".") and str(os.getpid()) in temporary.name
            (temporary / round_).write_text("a")
        assert names(tmp_path / "deep") == ["video"] and names(tmp_path / "deep" / "video") == [round_]


def test_a_failed_folder_leaves_the_old_one_alone(tmp_path):
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "old").write_text("a")
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "video") as temporary:
        (temporary / "half").write_text("a")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["video"] and names(tmp_path / "video") == ["old"]


def test_a_failed_replacement_brings_the_old_folder_back(tmp_path):
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "old").write_text("a")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "never made", tmp_path / "video")
    assert names(tmp_path) == ["video"] and names(tmp_path / "video") == ["old"]


def test_output_folders_are_made_and_proven(tmp_path, monkeypatch):
    assert make_output_folder(tmp_path / "a" / "b").is_dir()
    assert make_output_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b" and names(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("a")
    for place in ("file", "file/b"):
        with pytest.raises(InputError, match="stands where a folder is needed"):
            make_output_folder(tmp_path / place)
    monkeypatch.setattr(files.tempfile, "TemporaryFile", failing(errno.EACCES))
    with pytest.raises(InputError, match=r"cannot write .*a: Permission denied; make it writable"):
        make_output_folder(tmp_path / "a")


# ---- masks


def test_palette_is_davis():
    palette = davis_palette()
    assert len(palette) == 768
    known = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128, 64, 0, 0]
    assert palette[: len(known)] == known
    assert palette[-3:] == [224, 224, 192]
    assert len({tuple(palette[index : index + 3]) for index in range(0, 768, 3)}) == 256


@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_masks_are_grey_0_and_255(tmp_path, kind):
    mask = np.array([[0, 1, 1], [1, 0, 0]], dtype=kind)
    write_mask(tmp_path / "v" / "a.png", mask)
    with Image.open(tmp_path / "v" / "a.png") as image:
        assert image.mode == "L" and image.size == (3, 2)
    assert np.array_equal(read_label_map(tmp_path / "v" / "a.png"), mask.astype(np.uint8) * 255)
    with pytest.raises(ValueError, match="height"):
        write_mask(tmp_path / "b.png", mask[None])


@pytest.mark.parametrize("palette", [None, [255, 0, 0, 0, 255, 0]])
def test_label_maps_keep_ids_not_colours(tmp_path, palette):
    labels = np.array([[0, 1, 255], [7, 1, 0]], dtype=np.uint8)
    write_label_map(tmp_path / "a.png", labels, palette)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        stored = image.getpalette()
    assert stored[: len(palette or davis_palette())] == (palette or davis_palette())
    assert np.array_equal(read_label_map(tmp_path / "a.png"), labels)
    with pytest.raises(ValueError, match="uint8"):
        write_label_map(tmp_path / "b.png", labels.astype(np.int64))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "I;16"])
def test_label_maps_of_other_modes_are_refused(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"a\.png: .* of mode {mode}"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_images_are_read_as_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    image = read_image(path)
    assert image.shape == (3, 4, 3) and image.dtype == np.uint8 and (image > 250).all() and image.flags.writeable


@pytest.mark.parametrize("read", [read_image, read_label_map])
def test_broken_images_are_named_in_one_line(tmp_path, read, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    for length in range(0, len(content) - 20, 97):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.png: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(content[:300] + b"\0\0\0" + content[303:])
    with pytest.raises(InputError):
        read(path)
    for place in ("missing.png", "."):
        with pytest.raises(InputError):
            read(tmp_path / place)


def test_cut_jpegs_are_refused(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path / "a.jpg")


# ---- submission

EXPECTED = {"b": {"1": ["00000", "00005"], "0": ["00000", "00005"]}, "a": {"0": ["00000"]}}


@pytest.fixture
def results(tmp_path):
    for video, expressions in EXPECTED.items():
        for expression, frames in expressions.items():
            for frame in frames:
                write_mask(tmp_path / "valid" / video / expression / f"{frame}.png", np.eye(4, 6, dtype=bool))
    return tmp_path / "valid"


def test_submission_is_complete_sorted_and_the_same_each_time(tmp_path, results):
    write_mask(results / "b" / "1" / "99999.png", np.eye(4, dtype=bool))
    assert write_submission(tmp_path / "one.zip", results, EXPECTED) == 5
    os.utime(results / "a" / "0" / "00000.png", (1e9, 1e9))
    write_submission(tmp_path / "two.zip", results, dict(reversed(EXPECTED.items())))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "Annotations/a/0/00000.png",
            "Annotations/b/0/00000.png",
            "Annotations/b/0/00005.png",
            "Annotations/b/1/00000.png",
            "Annotations/b/1/00005.png",
        ]
        assert archive.read("Annotations/a/0/00000.png") == (results / "a" / "0" / "00000.png").read_bytes()
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_incomplete_submissions_are_refused(tmp_path, results):
    (results / "b" / "1" / "00005.png").unlink()
    (results / "a" / "0" / "00000.png").unlink()
    with pytest.raises(InputError, match=r"2 of 5 masks are missing \(b/1/00005.png, a/0/00000.png\)"):
        write_submission(tmp_path / "a.zip", results, EXPECTED)
    assert names(tmp_path) == ["valid"]


def test_malformed_submissions_are_refused(tmp_path, results):
    write_mask(results / "b" / "0" / "00005.png", np.eye(5, 6, dtype=bool))
    Image.new("RGB", (6, 4)).save(results / "b" / "1" / "00000.png")
    (results / "a" / "0" / "00000.png").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        write_submission(tmp_path / "a.zip", results, EXPECTED)
    message = str(caught.value)
    assert "3 masks are not PNG L" in message and "b/0/00005.png: PNG L 6x5" in message
    assert "b/1/00000.png: PNG RGB 6x4" in message and "a/0/00000.png: cannot be read" in message
    assert names(tmp_path) == ["valid"]
