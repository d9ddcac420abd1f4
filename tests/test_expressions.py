"""meta_expressions.json: what is read from good files, and that bad ones are refused with a usable message."""

import json
from pathlib import Path

import pytest

from datasets.expressions import Expression, normalise_caption, read_meta_expressions
from util.errors import InputError
from util.names import is_safe_name

REAL = Path(__file__).parents[2] / "shared" / "data" / "ref-youtube-vos" / "meta_expressions"


def good_video(**changes):
    return {"expressions": {"0": {"exp": "A  Dog", "obj_id": "1"}}, "frames": ["00005", "00000"]} | changes


def write(tmp_path, videos, name="meta_expressions.json"):
    path = tmp_path / name
    path.write_text(json.dumps({"videos": videos}))
    return path


def test_reads_videos_with_sorted_frames_and_text_as_written(tmp_path):
    path = write(tmp_path, {"b": good_video(), "a": good_video(expressions={"7": {"exp": "a cat"}})})
    first, second = read_meta_expressions(path)
    assert (first.name, first.frames) == ("b", ("00000", "00005"))
    assert first.expressions == (Expression("b", "0", "A  Dog", "1"),)
    assert second.expressions == (Expression("a", "7", "a cat", None),)


def test_exclude_leaves_out_the_videos_of_another_file(tmp_path):
    both = write(tmp_path, {"a": good_video(), "b": good_video()})
    test_only = write(tmp_path, {"b": good_video()}, "test.json")
    assert [video.name for video in read_meta_expressions(both, exclude=test_only)] == ["a"]
    with pytest.raises(InputError, match="no video"):
        read_meta_expressions(test_only, exclude=both)


@pytest.mark.skipif(not REAL.exists(), reason=f"the real expressions are not at {REAL}")
def test_the_real_validation_set_is_valid_minus_test():
    valid, test = (REAL / split / "meta_expressions.json" for split in ("valid", "test"))
    videos = read_meta_expressions(valid, exclude=test)
    assert (len(videos), sum(len(video.expressions) for video in videos)) == (202, 834)
    assert len(read_meta_expressions(test)) == 305


def test_captions():
    assert normalise_caption("  A Dog\tto the\n LEFT ") == "a dog to the left"
    assert normalise_caption("  A Dog ", case="released") == "  A Dog "
    with pytest.raises(ValueError, match="upper"):
        normalise_caption("a", case="upper")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc", "..\\x", "a\\b", "C:x", "a\0b", "a\n", "\ud800", 3, None]
)
def test_unsafe_names(name):
    assert not is_safe_name(name)


@pytest.mark.parametrize("name", ["00000", "dogs-jump", "0062f687f1", "a video (1).final", "..a", "été"])
def test_safe_names(name):
    assert is_safe_name(name)


@pytest.mark.parametrize(
    ("video", "named"),
    [
        ([], ["frames"]),
        (good_video(frames=[]), ["no frames"]),
        (good_video(frames="00000"), ["frames"]),
        (good_video(frames=[0]), ["frame 0"]),
        (good_video(frames=["../../x"]), ["../../x"]),
        (good_video(frames=["00000", "00000"]), ["twice"]),
        (good_video(expressions=[]), ["expressions"]),
        (good_video(expressions={"../1": {"exp": "a"}}), ["../1"]),
        (good_video(expressions={"4": "a dog"}), ["expression '4'"]),
        (good_video(expressions={"4": {"exp": " "}}), ["expression '4'", "exp"]),
        (good_video(expressions={"4": {"exp": 5}}), ["expression '4'", "5"]),
        (good_video(expressions={"4": {"exp": "a", "obj_id": "0"}}), ["expression '4'", "obj_id"]),
        (good_video(expressions={"4": {"exp": "a", "obj_id": True}}), ["expression '4'", "obj_id"]),
        (good_video(expressions={"4": {"exp": "a", "told": "00000"}}), ["expression '4'", "told"]),
        (good_video(expressions={"4": {"exp": "a", "told": ["99999"]}}), ["expression '4'", "told"]),
    ],
)
def test_malformed_videos_are_named(tmp_path, video, named):
    path = write(tmp_path, {"fine": good_video(), "broken": video})
    with pytest.raises(InputError) as caught:
        read_meta_expressions(path)
    for part in [str(path), "'broken'", *named]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe{", b"[]", b'{"videos": []}', b'{"videos": {}}', b"[" * 100_000]
)
def test_malformed_files_are_named(tmp_path, content):
    path = tmp_path / "meta_expressions.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="meta_expressions"):
        read_meta_expressions(path)


def test_unsafe_video_name_and_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be a folder"):
        read_meta_expressions(write(tmp_path, {"../../home": good_video()}))
    with pytest.raises(InputError, match=r"absent\.json"):
        read_meta_expressions(tmp_path / "absent.json")
