"""On a hosted machine what is missing is added, and nothing that is there changes."""

from importlib import metadata
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from course_lib import hosted_setup
from course_lib.hosted_setup import HostedSetupError, install_requirements, missing_requirements


class Pip:
    """Stands in for pip: notes what it is asked for, and fails for what it has not got."""

    def __init__(self, monkeypatch, *fails_for):
        self.calls, self.constraints, self.fails_for = [], "", fails_for
        monkeypatch.setattr(hosted_setup.subprocess, "run", self)

    def __call__(self, command, **options):
        self.calls.append(command)
        self.constraints = Path(command[command.index("--constraint") + 1]).read_text()
        failed = any(word in command for word in self.fails_for)
        return CompletedProcess(command, int(failed), "", "no matching build" if failed else "")


@pytest.fixture
def lacking(monkeypatch):
    """Pretend that the course needs two things which are not here, one of them the engine."""
    monkeypatch.setattr(hosted_setup, "ENGINE", "no-such-engine")
    needs = ["numpy>=2", "no-such-thing>=1", "no-such-engine==1.0", "jupyterlab>=4"]
    monkeypatch.setattr(metadata, "requires", lambda name: needs)


def test_only_what_is_missing_is_asked_for_and_everything_else_is_held(lacking, monkeypatch):
    pip = Pip(monkeypatch)
    assert install_requirements() == ["no-such-thing>=1", "no-such-engine==1.0"]
    assert [call[-1] for call in pip.calls] == ["no-such-thing>=1", "no-such-engine==1.0"]
    assert f"numpy=={metadata.version('numpy')}" in pip.constraints.splitlines()
    assert "course-lib" not in pip.constraints


def test_a_ready_made_engine_is_tried_first(lacking, monkeypatch, capsys):
    pip = Pip(monkeypatch)
    install_requirements()
    assert "--only-binary" in pip.calls[-1]
    assert hosted_setup.READY_MADE_INDEX in pip.calls[-1]
    assert capsys.readouterr().out == ""


def test_a_build_from_source_is_announced_with_its_minutes(lacking, monkeypatch, capsys):
    pip = Pip(monkeypatch, "--only-binary")
    install_requirements()
    assert "--only-binary" not in pip.calls[-1]
    assert "about five minutes" in capsys.readouterr().out


def test_what_pip_cannot_do_is_an_error_with_its_words(lacking, monkeypatch):
    Pip(monkeypatch, "no-such-thing>=1")
    with pytest.raises(HostedSetupError, match="no matching build"):
        install_requirements()


def test_markers_and_extras_decide_what_is_due():
    needs = [
        "no-such-thing>=1; python_version < '3'",
        "no-such-other; extra == 'serve'",
        "numpy[extra]; extra == 'serve'",
        "no-such-test; extra == 'test'",
    ]
    assert missing_requirements(needs) == []
    assert missing_requirements(needs, "serve") == ["no-such-other", "numpy[extra]"]


def test_here_nothing_but_extras_is_missing():
    missing = missing_requirements(metadata.requires("course-lib"))
    assert missing == []
