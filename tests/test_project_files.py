"""Files about the project: well-formed, and in step with one another."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def version_of_setup():
    return re.search(r'packaging\("([\d.]+)"\)', (ROOT / "setup.py").read_text(encoding="utf-8"))[1]


def test_the_citation_names_this_version_and_licence():
    citation = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (version_of_setup(), "Apache-2.0")
    for work in (citation, *citation["references"]):
        assert work["title"] and all("name" in a or "family-names" in a for a in work["authors"])


def test_the_workflow_starts_what_is_there():
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    started = {target for step in steps for target in re.findall(r"make (\w+)", step)}
    assert started == {"lint", "test", "demo"} <= targets
    assert all((ROOT / name).is_file() for step in steps for name in re.findall(r"-r (\S+)", step))


def test_the_workflow_has_the_oldest_python():
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    oldest = re.search(r'python_requires=">=([\d.]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))[1]
    assert job["strategy"]["matrix"]["python"][0] == oldest


@pytest.mark.parametrize("name", ["ruff-check", "ruff-format"])
def test_commits_are_checked_by_the_ruff_of_the_developers(name):
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    (hook,) = (hook for hook in repository["hooks"] if hook["id"] == name)
    assert set(hook["additional_dependencies"]) <= set((ROOT / "requirements-dev.txt").read_text().split())
