"""The benchmark of the DAVIS evaluation, on a set so small that its times mean nothing."""

import sys
from argparse import Namespace

import pytest

from tools.bench import scores
from tools.bench.made_masks import make_set


@pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is read from /proc")
@pytest.mark.parametrize("given", [False, True], ids=["made", "given"])
def test_programs_agree_and_every_figure_is_there(tmp_path, monkeypatch, given):
    monkeypatch.setattr(scores, "SEQUENCES", 2)
    monkeypatch.setattr(scores, "FRAMES", 3)
    if given:
        make_set(tmp_path / "DAVIS", tmp_path / "results", 2, 3)
    figures = scores.measure(Namespace(data=tmp_path / "DAVIS" if given else None, rounds=1))
    assert (figures["sequences"], figures["frames"]) == (2, 6)
    for name in ("unsupervised", "semi-supervised"):
        assert 0.2 < figures[name]["J&F-Mean"] < 1
    assert figures["unsupervised"]["ratio"] > 0
    assert all(30 < peak < 1000 for peak in figures["peak_mib"].values())


def test_programs_that_differ_are_told():
    with pytest.raises(RuntimeError, match="differ"):
        scores.compare({"product": lambda: 0.5, "plain": lambda: 0.6}, 1)
