# Everything that learners and contributors run. `make` alone lists it.
# Works with GNU make 3.81 (macOS) and any POSIX shell.

PYTHON ?= python3
EDITION ?= en
PORT ?=
LAB_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
TINY_MODEL_ARGS ?=
KIT_ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
NOTEBOOKS := $(sort $(wildcard notebooks/*/*.ipynb))
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with notebooks/sanitize.cfg --nbval-cell-timeout 300

# A kit (tools/kit.py) holds everything that is installed. Inside one the course lies beside the
# packages; elsewhere, make lab KIT=/media/usb/kit. KIT= turns to the network. A URL may hold
# spaces, which would part a plain path in two.
KIT ?= $(if $(wildcard ../kit.json),..)
ifneq ($(strip $(KIT)),)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(shell "$(PYTHON)" -c \
  'import pathlib, sys; print((pathlib.Path(sys.argv[1]).resolve() / "wheels").as_uri())' "$(KIT)" 2>/dev/null)
CHECK_KIT := @"$(PYTHON)" -m tools.kit --check "$(KIT)"
endif

# Jupyter refuses to run as root unless told so; in a container root is the usual user.
ALLOW_ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab doctor bench tiny-model engine test lint execute sync translated pages badges kit answers format clean FORCE

help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

lab: $(STAMPS)/course ## open the lessons in JupyterLab (EDITION=ko, PORT=8890, LAB_ARGS="--no-browser")
	@test -d "notebooks/$(EDITION)" || { \
	  echo "There is no edition '$(EDITION)'. Choose one: make lab EDITION=en, or make lab EDITION=ko."; exit 1; }
	cd "notebooks/$(EDITION)" && "$(CURDIR)/$(PY)" -m jupyterlab --LabApp.default_url=/lab/tree/00_start_here.ipynb \
	  $(if $(PORT),--port=$(PORT)) $(ALLOW_ROOT) $(LAB_ARGS)

doctor: $(STAMPS)/course ## report what this machine has and what it can run
	$(PY) -m course_lib doctor

bench: $(STAMPS)/course ## measure this machine (BENCH_ARGS="--help")
	$(PY) -m tools.bench $(BENCH_ARGS)

tiny-model: $(STAMPS)/train ## train the course's own model again (TINY_MODEL_ARGS="--help")
	$(PY) -m tools.tiny_mistral $(TINY_MODEL_ARGS)

test: lint ## check everything: style, unit tests, docstring examples, all notebooks (PYTEST_ARGS="-x")
	$(if $(NOTEBOOKS),,@echo "note: no notebooks/*/*.ipynb found, so none is tested")
	unset COURSE_LANGUAGE; $(PY) -m pytest tests course_lib $(if $(NOTEBOOKS),$(NBVAL) $(NOTEBOOKS)) $(PYTEST_ARGS)

lint: $(STAMPS)/test ## check style with ruff
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

execute: $(STAMPS)/test ## run lessons and store their outputs (NB="notebooks/en/00_start_here.ipynb")
	$(PY) -m tools.notebooks execute $(or $(NB),$(wildcard notebooks/en/*.ipynb))

sync: $(STAMPS)/test ## bring the Korean lessons in step with the English ones
	$(PY) -m tools.editions sync

translated: $(STAMPS)/test ## call Korean prose a current translation (NB=notebooks/ko/01_tokenization.ipynb)
	$(PY) -m tools.editions translated $(NB)

pages: $(STAMPS)/test ## render all lessons as web pages under build/pages
	$(PY) -m tools.pages

badges: $(STAMPS)/test ## launch badges for your fork (REPO=owner/name BRANCH=main; REPO= takes them out)
	@test -n "$(filter-out undefined,$(origin REPO))" || { \
	  echo "Whose fork? make badges REPO=owner/name, or make badges REPO= to take the badges out."; exit 1; }
	$(PY) -m tools.badges "$(REPO)" $(BRANCH)

kit: $(STAMPS)/course ## an offline kit in build/kit (KIT_ARGS="--model qwen3-0.6b --output /media/usb/kit")
	$(PY) -m tools.kit $(KIT_ARGS)

answers: $(STAMPS)/course ## the answer key of all exercises, in build/answers-en.md and -ko.md
	$(PY) -m tools.answer_key

format: $(STAMPS)/test ## mend style with ruff
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

engine: $(STAMPS)/venv ## install llama.cpp alone; for a GPU: CMAKE_ARGS="-DGGML_CUDA=on" make engine
	$(PY) -m tools.install_engine

clean: ## remove the installation and caches (never your notebooks or models)
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# ---- Installation -----------------------------------------------------------------------------
# A stamp is touched only after its step succeeded, so an interrupted step is done again, and a
# finished one is skipped until pyproject.toml changes.

# JupyterLab would look for news and updates; the course opens no connection of its own accord.
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
QUIET_LAB := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

# A virtual environment whose Python has gone (upgraded or removed) is made anew.
ifneq ($(shell $(PY) -c "print(1)" 2>/dev/null),1)
$(STAMPS)/venv: FORCE
endif

$(STAMPS)/venv:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "Python was not found under the name '$(PYTHON)'."; \
	  echo "Install Python 3.10 or newer, or say where it is: make lab PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "This course needs Python 3.10 or newer, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)."; \
	  echo "If you have a newer one, name it: make lab PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments yet. On Debian or Ubuntu:"; \
	  echo "    sudo apt-get install python3-venv"; exit 1; }
	$(CHECK_KIT)
	"$(PYTHON)" -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	@mkdir -p $(STAMPS) && touch $@

# CMAKE_ARGS asks for another build of llama.cpp: let the installer see whether it is there already.
ifneq ($(strip $(CMAKE_ARGS)),)
$(STAMPS)/engine: FORCE
endif

$(STAMPS)/engine: $(STAMPS)/venv pyproject.toml tools/install_engine.py course_lib/compiler.py course_lib/hosted_setup.py
	$(PY) -m tools.install_engine
	@touch $@

$(STAMPS)/course: $(STAMPS)/venv pyproject.toml | $(STAMPS)/engine
	$(PY) -m pip install --editable ".[serve]"
	@mkdir -p $(LAB_SETTINGS) && printf '%s\n' '$(QUIET_LAB)' > $(LAB_SETTINGS)/overrides.json
	@touch $@

$(STAMPS)/test: $(STAMPS)/course
	$(PY) -m pip install --editable ".[test]"
	@touch $@

$(STAMPS)/train: $(STAMPS)/course
	$(PY) -m pip install --editable ".[train]"
	@touch $@

FORCE:
