# Perdure: one command each. Everything goes into the project's own .venv, from wheels.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 9000

.PHONY: setup run test test-slow check fix bench clean

setup: .venv/.ready

.venv/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Perdure needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --editable . --group dev
	touch $@

run: setup  ## serve the shop on SQLite
	$(BIN)/perdure serve examples.shop.app:app --host 127.0.0.1 --port $(PORT) --store sqlite:///shop-data --cors '*'

test: setup  ## everything but the slow suites
	$(BIN)/python -m pytest -m 'not slow' --numprocesses auto --dist loadfile

test-slow: setup  ## crash cycles, soak, large imports
	$(BIN)/python -m pytest -m slow --timeout 1800

check: setup  ## format, lint, types, tidy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_public_api.py

fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## one interleaved run, as ratios
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv shop-data
