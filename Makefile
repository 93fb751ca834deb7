# Everything a newcomer needs: `make demo` and `make test` set up what they use. Other targets build on the same .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCE := daemon/neural_selfie
# pip compiles what it copies, not what it links to: without this every command would compile the source anew.
COMPILE = $(BIN)/python -m compileall -q $(SOURCE)

.PHONY: demo test lint format tools styles clean

demo: $(VENV)/.demo
	$(BIN)/neural-selfie demo demo

test: lint tools
	$(BIN)/python -m pytest -n 3 --dist worksteal $(if $(CI),-m 'not gpu')

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Chromium and Samba for the tests that need them; where they cannot be installed those tests skip and say so.
tools:
	sh tests/system-packages.sh

# The style images that ship, painted anew by their programs.
styles: $(VENV)/.dev
	$(BIN)/python -m neural_selfie.styles --into $(SOURCE)/styles

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[demo,heif]'
	$(COMPILE)
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[demo,heif,dev]'
	$(COMPILE)
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
