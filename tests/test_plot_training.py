"""Curves of a training."""

import json

import numpy as np
import pytest
from PIL import Image

from tools.plot_training import main
from util.errors import InputError
from util.training_curves import CURVES, TERMS, Run, draw_own, smoothed


def write_run(folder, steps, value=1.0):
    folder.mkdir()
    lines = [json.dumps({"step": step} | dict.fromkeys(TERMS, value)) for step in range(steps)]
    (folder / "steps.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_windows_are_averaged_and_the_last_may_be_short():
    places, means = smoothed(np.arange(7.0), 3)
    assert (places.tolist(), means.tolist()) == ([1, 4, 6], [1, 4, 6])


def test_a_picture_of_several_runs(tmp_path):
    runs = [write_run(tmp_path / name, 30, value) for name, value in (("first", 2.0), ("second", 1.0))]
    assert main([*map(str, runs), "--output", str(tmp_path / "curves.png")]) == 0
    drawn = np.array(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)
    blue, orange = (31, 119, 180), (255, 127, 14)  # of the first and second line; thin ones are mixed with the ground
    assert all(np.abs(drawn - colour).sum(-1).min() < 60 for colour in (blue, orange))


@pytest.mark.parametrize("content", [None, "", "{}\n", '{"step": 0, "loss', "[]\n"])
def test_what_is_no_run_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "steps.jsonl").write_text(content)
    with pytest.raises(InputError, match=r"steps\.jsonl"):
        Run.read(tmp_path)


def test_a_run_of_one_step_can_be_seen_whatever_its_name(tmp_path):
    folder = write_run(tmp_path / "a$_b$", 1)
    draw_own(folder)
    drawn = np.array(Image.open(folder / CURVES).convert("RGB")).astype(int)
    assert np.abs(drawn[:, : drawn.shape[1] // 4] - (31, 119, 180)).sum(-1).min() < 60


def test_a_picture_that_cannot_be_drawn_is_a_warning(tmp_path, capsys):
    draw_own(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path / CURVES} is not drawn: {tmp_path / 'steps.jsonl'}")
