"""Scores of several runs as a table."""

import json

import pytest

from tools.score_table import main
from util.errors import InputError


def write_scores(file, overall, **kinds):
    figures = {"overall": {"J&F": overall}, "kinds": {name: {"J&F": value} for name, value in kinds.items()}}
    file.write_text(json.dumps(figures))


def test_means_and_spreads_by_kind(tmp_path, capsys):
    write_scores(tmp_path / "a1.json", 0.5, order=0.25)
    write_scores(tmp_path / "a2.json", 0.6, order=0.25)
    write_scores(tmp_path / "b1.json", 0.7, order=0.5)
    of_a, of_b = (sorted(map(str, tmp_path.glob(f"{name}*.json"))) for name in "ab")
    main(["--runs", "with", *of_a, "--runs", "without", *of_b, "--output", str(tmp_path / "table.md")])
    assert capsys.readouterr().out == (tmp_path / "table.md").read_text()
    assert (tmp_path / "table.md").read_text().splitlines() == [
        "| J&F | runs | all | order |",
        "| --- | --- | --- | --- |",
        "| with | 2 | 55.0 ± 7.1 | 25.0 ± 0.0 |",
        "| without | 1 | 70.0 | 50.0 |",
    ]


@pytest.mark.parametrize(("files", "said"), [((), "behind its name"), (("none.json",), r"none\.json: No such file")])
def test_what_cannot_be_read_is_said(files, said):
    with pytest.raises(InputError, match=said):
        main(["--runs", "name", *files])


@pytest.mark.parametrize("content", ["", "[]", '{"overall": 1}', '{"overall": {"J": 1}}'])
def test_files_that_are_no_scores(tmp_path, content):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(InputError, match=r"scores\.json: no scores"):
        main(["--runs", "one", str(tmp_path / "scores.json")])


def test_runs_on_different_sets_are_not_compared(tmp_path):
    write_scores(tmp_path / "a.json", 0.5, order=0.25)
    write_scores(tmp_path / "b.json", 0.5, motion=0.25)
    with pytest.raises(InputError, match="same set"):
        main(["--runs", "one", str(tmp_path / "a.json"), "--runs", "other", str(tmp_path / "b.json")])
