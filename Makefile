PYTHON ?= python3
BIN := .venv/bin
# The stages call `python`: it must be this environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test setup

repro: setup
	dvc repro

test: setup
	ruff check .
	ruff format --check .
	pytest -n 2 --dist loadscope  # what a module shares is made once

setup: $(BIN)/.ready

$(BIN)/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
