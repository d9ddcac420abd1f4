"""The true first masks, as --key_masks takes them."""

import json

import numpy as np
import pytest

from datasets.expressions import read_meta_expressions
from datasets.key_frames import KeyFrameFiles
from tools.data.first_masks import main
from util.errors import InputError
from util.mask_io import write_label_map

FRAMES = ("00000", "00005", "00010")


@pytest.fixture
def root(tmp_path):
    """Object 2 shows in all frames, object 5 from the second on."""
    content = {
        "street": {
            "frames": list(FRAMES),
            "expressions": {"0": {"exp": "a dog", "obj_id": "2"}, "7": {"exp": "a cat", "obj_id": "5"}},
        }
    }
    file = tmp_path / "set" / "meta_expressions" / "test" / "meta_expressions.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"videos": content}))
    for index, frame in enumerate(FRAMES):
        labels = np.zeros((6, 8), np.uint8)
        labels[1, index] = 2
        labels[4, 4 : 4 + index] = 5
        path = tmp_path / "set" / "test" / "Annotations" / "street" / f"{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(path, labels)
    return tmp_path / "set"


def choices(root, output, *flags):
    main(["--ytvos_path", str(root), "--split", "test", "--output", str(output), *flags])
    (video,) = read_meta_expressions(root / "meta_expressions" / "test" / "meta_expressions.json")
    files = KeyFrameFiles(masks=output)
    return {expression.id: files.choice(video, expression.id) for expression in video.expressions}


def test_each_object_in_its_first_frame(root, tmp_path):
    given = choices(root, tmp_path / "out")
    assert {key: choice.candidates for key, choice in given.items()} == {"0": (0,), "7": (1,)}
    assert np.argwhere(given["0"].mask(0, (6, 8))).tolist() == [[1, 0]]
    assert np.argwhere(given["7"].mask(1, (6, 8))).tolist() == [[4, 4]]


def test_the_same_frames_without_the_objects(root, tmp_path):
    given = choices(root, tmp_path / "out", "--empty")
    assert {key: choice.candidates for key, choice in given.items()} == {"0": (0,), "7": (1,)}
    assert not given["0"].mask(0, (6, 8)).any()


def test_what_is_missing_is_said(root, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there already"):
        choices(root, tmp_path / "there")
    file = root / "meta_expressions" / "test" / "meta_expressions.json"
    text = file.read_text()
    file.write_text(text.replace('"obj_id": "5"', '"obj_id": "6"'))
    with pytest.raises(InputError, match="no frame shows object 6"):
        choices(root, tmp_path / "out")
    write = json.loads(text)
    del write["videos"]["street"]["expressions"]["7"]["obj_id"]
    file.write_text(json.dumps(write))
    with pytest.raises(InputError, match="secret"):
        choices(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
