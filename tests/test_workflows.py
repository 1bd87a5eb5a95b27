"""GitHub's workflows call what exists, with the versions of Python that the package promises."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import yaml

from tools.install_engine import pinned_version
from tools.notebooks import ROOT
from tools.pages import OUTPUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps(workflow, kind):
    jobs = WORKFLOWS[workflow]["jobs"].values()
    return [step[kind] for job in jobs for step in job["steps"] if kind in step]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_make_is_asked_for_targets_that_it_has(workflow):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    called = [shlex.split(line) for run in steps(workflow, "run") for line in run.splitlines()]
    asked = [words[1] for words in called if words[0] == "make"]
    assert asked and set(asked) <= targets


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_python_is_asked_for_code_that_exists(workflow):
    for run in steps(workflow, "run"):
        for code in re.findall(r"python -c '([^']*)'", run):
            answer = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
            )
            assert answer.stdout.strip() == pinned_version()
        for file in re.findall(r"\btests/\S+", run):
            assert (ROOT / file).is_file()


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_no_workflow_may_write_to_the_repository(workflow):
    assert WORKFLOWS[workflow]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[workflow]["jobs"].values():
        assert "contents" not in job.get("permissions", {})
        assert job["timeout-minutes"] <= 90


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_actions_are_githubs_own_in_a_chosen_version(workflow):
    for action in steps(workflow, "uses"):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", action)


def test_tests_run_on_every_version_of_python_that_is_promised():
    matrix = WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]
    prefix = "Programming Language :: Python :: "
    promised = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert matrix["python-version"] == promised
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}


def test_pages_are_deployed_from_the_folder_they_are_built_in():
    (upload,) = [
        step["with"]["path"]
        for step in WORKFLOWS["pages"]["jobs"]["build"]["steps"]
        if "upload-pages-artifact" in step.get("uses", "")
    ]
    assert ROOT / upload == OUTPUT
    deploy = WORKFLOWS["pages"]["jobs"]["deploy"]
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    assert deploy["needs"] == "build"
    assert WORKFLOWS["pages"]["concurrency"]["group"] == "pages"
