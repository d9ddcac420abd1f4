"""`--help` of the programs: short usage, what matters first, nothing that is of no use; and what programs exit with."""

import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from opts import DATA_FLAGS, TRAINING_GROUPS, get_args_parser
from tools.data import check

ROOT = Path(__file__).parents[1]
INFERENCE = ("demo", "inference_ytvos", "inference_frame_key", "inference_davis", "inference_a2d", "inference_jhmdb")
OTHERS = ("eval_davis", "tools/evaluate", "tools/check_submission", "tools/pack_model", "tools/data/check")


@pytest.fixture
def said(monkeypatch, capsys):
    """What a program says to --help, 100 columns wide."""

    def ask(name):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
        assert left.value.code == 0
        return capsys.readouterr().out

    return ask


def groups(text):
    return re.findall(r"^(\S.*):$", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["main", *INFERENCE, *OTHERS])
def test_help_fits_and_tells_what_each_flag_does(said, name):
    text = said(name)
    assert text.startswith("usage: ")
    assert max(map(len, text.splitlines())) <= 120, "docstrings are printed as they are"
    assert "default: None" not in text and "default: False" not in text
    flags = re.findall(r"^  (--[a-z_]+)", text, re.MULTILINE)
    assert len(flags) == len(set(flags)) > 2


@pytest.mark.parametrize("name", INFERENCE)
def test_inference_does_not_list_the_flags_of_training(said, name):
    text = said(name)
    assert not set(TRAINING_GROUPS) & set(groups(text))
    assert "--resume" in text and "--set_cost_class" not in text and "main.py --help" in text


def test_training_lists_all(said):
    text = said("main")
    assert set(TRAINING_GROUPS) < set(groups(text))
    assert all(flag in text for flag in get_args_parser()._option_string_actions)


def test_the_programs_own_flags_come_first(said):
    assert groups(said("demo"))[0] == "demo"


@pytest.mark.parametrize("name", ["demo", "tools/export"])
def test_programs_for_one_video_do_not_list_the_flags_of_data_sets(said, name):
    text = said(name)
    assert not [flag for flag in (*DATA_FLAGS, "output_dir") if f"--{flag} " in text]
    assert "--output PATH" in text and "--resume FILE" in text


def test_usage_is_what_must_be_given():
    parser = get_args_parser()
    parser.prog = "demo.py"
    parser.add_argument("--video", required=True, type=Path)
    parser.add_argument("--full_text", required=True)
    assert parser.format_usage() == "usage: demo.py --video PATH --full_text TEXT [flags]\n"


def test_defaults_are_told_where_they_say_something():
    parser = get_args_parser()
    parser.add_argument_group("own").add_argument("--share", default="50%", help="of it")
    text = re.sub(r"\s+", " ", parser.format_help())
    assert "--share SHARE of it [50%]" in text
    assert "epochs after which the rates drop tenfold [6 8]" in text
    assert "--binary one class: referred or not --" in text
    assert "0: all [0]" in text


# ---- exit codes, as docs/inference.md lists them


def program_that(line):
    return f"from util.errors import InputError, exit_on_input_error\nimport time\nexit_on_input_error(lambda: {line})"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("None", 0, ""),
        ("1", 1, ""),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("(_ for _ in ()).throw(InputError('a.png: broken'))", 2, "error: a.png: broken\n"),
        ("(_ for _ in ()).throw(KeyboardInterrupt)", 130, "finished work is kept"),
    ],
)
def test_exit_codes(line, code, words):
    done = subprocess.run([sys.executable, "-c", program_that(line)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, words in done.stderr) == (code, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number, code):
    started = program_that("(print(flush=True), time.sleep(60))")
    with subprocess.Popen(
        [sys.executable, "-c", started], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    as_a_shell_says = process.returncode if process.returncode >= 0 else 128 - process.returncode
    assert (as_a_shell_says, "Traceback" in err) == (code, False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_block_may_have_a_last_word_of_its_own():
    lines = ("from util.interrupts import leaving_on_signals", "import signal", "with leaving_on_signals(b'gone'):")
    started = "\n".join([*lines, "    signal.raise_signal(signal.SIGTERM)"])
    done = subprocess.run([sys.executable, "-c", started], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, "gone")


def test_a_check_that_says_no(tmp_path):
    assert check.main(["ytvos", "--path", str(tmp_path)]) == 1
