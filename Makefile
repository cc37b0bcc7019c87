# Two commands: `make quickstart` runs the main job, `make test` passes the default tests.
# Both make or reuse .venv; nothing is installed outside it.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-cluster test-slow lint format clean

quickstart: .venv/installed
	$(BIN)/assay run quickstart

test: .venv/installed
	$(BIN)/pytest

test-cluster: .venv/installed
	$(BIN)/pytest -m 'cluster and not slow'

test-slow: .venv/installed
	$(BIN)/pytest -m slow --numprocesses 0

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build *.egg-info

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Assay needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "no venv module; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
