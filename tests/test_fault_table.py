"""Counts of faults become the table, between its markers and nowhere else."""

import pytest

from tests.faults import counts
from tools.fault_table import BEGIN, END, main


@pytest.fixture
def counted(tmp_path, monkeypatch):
    monkeypatch.setenv(counts.FILE, str(tmp_path / "counts"))
    counts.record("b: killed", 3, 3, "goes on")
    counts.record("a: disk full", 1, 1, "error: a | b")
    counts.record("b: killed", 2, 2, "goes on")
    return tmp_path / "counts"


def test_equal_faults_are_added_up_between_the_markers(counted, tmp_path, program):
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    done = program(main, "--counts", counted, "--document", document)
    assert done.code == 0 and "6 of 6" in done.out
    lines = document.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    assert lines[5:7] == ["| a: disk full | 1 | 1 | error: a \\| b |", "| b: killed | 5 | 5 | goes on |"]


def test_a_try_that_was_not_survived_shows_in_the_exit_code(counted, tmp_path, program):
    counts.record("c: hang", 2, 1, "nothing")
    document = tmp_path / "page.md"
    document.write_text(BEGIN + END)
    assert program(main, "--counts", counted, "--document", document).code == 1
    assert "| c: hang | 2 | 1 | nothing |" in document.read_text()


def test_what_is_missing_is_named(counted, tmp_path, program):
    (tmp_path / "page.md").write_text("no marker")
    assert "no lines" in program(main, "--counts", counted, "--document", tmp_path / "page.md").errors[0]
    assert "none" in program(main, "--counts", tmp_path / "none", "--document", tmp_path / "page.md").errors[0]


def test_no_file_named_means_no_count(monkeypatch):
    monkeypatch.delenv(counts.FILE, raising=False)
    counts.record("a", 1, 1, "")
