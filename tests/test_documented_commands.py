"""Every command of README.md and docs/ is run here, on data and networks that are tiny; what cannot be is listed.

Programs run in this process, with flags after the documented ones that make the network and the run small. Shell
scripts are asked which programs they would start, and those are run.
"""

import argparse
import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from documentation import PAGES, ROOT, blocks, commands, inline_code, text_of
from tiny_world import NETWORK, commands_of_script, run_python, write_world

import opts
from demo import demo_parser

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(os.name == "nt", reason="the documented commands are those of a POSIX shell"),
]
TOGETHER = ("docs/inference.md", "docs/scores.md")  # the second scores what the first one writes
WALKS = [TOGETHER, *((page,) for page in PAGES if page not in TOGETHER and commands(page))]

# ---- what is not run; each by its first words, with the reason
NOT_RUN = {
    "make": "installs from the network; .ci/run runs its targets",
    "source .venv/bin/activate": "belongs to the user's shell",
    "python -m venv .venv": "makes an environment",
    ".venv/bin/pip install": "installs from the network",
    "DATA=data/synthetic": "nine trainings; tests/test_scripts.py runs three",
    "pip install": "installs from the network",
    "cd models/ops && python setup.py build install": "installs; tests/test_compiled_operator.py builds the operator",
    "python models/ops/test.py": "tests/test_compiled_operator.py tests the same, and more",
}
EXAMPLES_NOT_RUN = {"import onnxruntime": "needs the exported file; tests/test_export.py does the same"}
ONLY_PARSED = {
    "python -m tools.check_parity": "needs the golden folder; tests/test_parity.py runs it where that is",
    "python demo.py --web": "serves until it is stopped; tests/test_web.py runs it",
    "python tools/export.py": "takes a minute; tests/test_export.py runs it",
    "python tools/benchmark.py": "measures for minutes; tests/test_bench_*.py run it tiny",
}


class ParsedError(Exception):
    """A program has read its flags."""


@contextmanager
def only_parsing(monkeypatch):
    """Programs stop once they have read their flags."""

    def parse(self, *arguments, **options):
        complete(self, *arguments, **options)
        raise ParsedError

    complete = argparse.ArgumentParser.parse_args
    with monkeypatch.context() as patched, pytest.raises(ParsedError):
        patched.setattr(argparse.ArgumentParser, "parse_args", parse)
        yield


def matching(text, listed):
    return next((start for start in listed if f"{text} ".startswith(f"{start} ")), None)


@pytest.fixture(scope="module")
def world(tmp_path_factory, checkpoint, text_encoder):
    return write_world(tmp_path_factory.mktemp("world"), checkpoint, text_encoder)


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    """A copy of the world, as the working directory."""
    folder = tmp_path / "checkout"
    shutil.copytree(world, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("datasets.transforms.EVALUATION_SHORT_SIDE", 64)
    return folder


@pytest.fixture
def run(here, tmp_path, monkeypatch):
    """Runs a documented command, or checks what can be checked of it."""

    def run(command):
        if matching(command.text, NOT_RUN):
            return
        if matching(command.text, ONLY_PARSED):
            with only_parsing(monkeypatch):
                run_python(command.words[1:])
            return
        for words in python_commands(command, tmp_path):
            assert run_python(words) == 0, f"{command.text}: {' '.join(words)}"

    return run


def python_commands(command, folder):
    """What follows `python`, one or several."""
    program, *rest = command.words
    if program == "python":
        return [rest]
    if program == "torchrun":  # one process does what several share
        first = next(i for i, word in enumerate(rest) if word.endswith(".py"))
        return [rest[first:]]
    assert program.startswith("scripts/"), f"{command.text}: unknown; run it here, or list it with a reason"
    return commands_of_script(command.words, command.environment, folder)


@pytest.mark.filterwarnings("ignore:'tools:RuntimeWarning")  # a module is run that was imported
@pytest.mark.parametrize("pages", WALKS, ids=" ".join)
def test_the_commands_run(pages, run):
    for page in pages:
        for command in commands(page):
            run(command)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_python_runs(page, here, monkeypatch):
    parse = opts.parse_settings
    monkeypatch.setattr(opts, "parse_settings", lambda argv: parse([*argv, *NETWORK]))
    names = {"__name__": "documented"}  # a page's examples go on from one another
    for block in blocks(page, "python"):
        if not block.startswith(tuple(EXAMPLES_NOT_RUN)):
            exec(compile(block, page, "exec"), names)


# ---- what is said beside the blocks


@pytest.mark.parametrize("page", PAGES)
def test_json_is_json(page):
    for block in blocks(page, "json"):
        json.loads(block)


@pytest.mark.parametrize("listed", [*NOT_RUN, *ONLY_PARSED])
def test_what_is_listed_still_occurs(listed):
    assert any(matching(command.text, [listed]) for page in PAGES for command in commands(page))


@pytest.mark.parametrize("start", EXAMPLES_NOT_RUN)
def test_examples_that_are_not_run_still_occur(start):
    assert any(block.startswith(start) for page in PAGES for block in blocks(page, "python"))


def test_targets_of_make_are_there():
    told = {word for page in PAGES for code in inline_code(page) for word in re.findall(r"^make (\w+)", code)}
    told |= {c.words[1] for page in PAGES for c in commands(page) if c.words[0] == "make" and len(c.words) > 1}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert told and told <= targets


PROGRAMS = ("tools", "models/ops", "web")
FOREIGN = {"--nproc_per_node", "--use_env", "--logdir"}  # torchrun's and tensorboard's


def test_flags_that_are_named_exist():
    files = [*ROOT.glob("*.py"), *(path for folder in PROGRAMS for path in (ROOT / folder).rglob("*.py"))]
    known = {flag for file in files for flag in re.findall(r'"(--[a-z_]+)"', file.read_text(encoding="utf-8"))}
    known |= set(demo_parser()._option_string_actions) | FOREIGN
    told = {(page, flag) for page in PAGES for code in inline_code(page) for flag in re.findall(r"--[a-z_]{2,}", code)}
    assert not {(page, flag) for page, flag in told if flag not in known}


LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    for target, heading in LINK.findall(text_of(page)):
        if target.startswith("http"):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {target}"
        assert not heading or heading in headings(path), f"{page}: {target}#{heading}"


def headings(path: Path):
    """As GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
