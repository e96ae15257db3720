PYTHON ?= python3
BIN := .venv/bin
# The stages call `python`: it must be this environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Slow modules first, so that both workers have work to the end; what a module shares is made once.
PYTEST := pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: repro test test-fast test-spark test-hub lint docs setup

repro: setup
	dvc repro

test: lint
	$(PYTEST)

# Without what starts a pipeline, a server, a browser or a training of seconds.
test-fast: lint
	$(PYTEST) -m "not slow" --durations 5 --durations-min 5

lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports

# The site of docs/, into site/; a warning, as of a dead link, is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# Spark is half a gigabyte for one test, so `make test` does without.
test-spark: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-spark.lock
	pytest tests/pipeline/test_same_everywhere.py -k spark

# KerasHub, with its text networks' needs, is as large.
test-hub: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-hub.lock
	pytest tests/models/test_hub.py

setup: $(BIN)/.ready

$(BIN)/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# The image's packages keep their names and take the pins of the whole environment.
requirements-serve.lock: requirements.lock
	{ head -n 1 $@; for name in $$(sed -n 's/==.*//p' $@); do grep "^$$name==" $< || exit 1; done; } > $@.new
	mv $@.new $@
