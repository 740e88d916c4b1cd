# make quickstart   a first leaderboard, from nothing: environment, videos, training, measuring, board
# make test         environment and tests
#
# PYTHON=python3.12     which Python makes the environment (3.11 or newer)
# VENV=/path/to/venv    where it lies
# PIP_ARGS="..."        further arguments of pip install
# TEST_ARGS="..."       arguments of pytest in place of two processes

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
# Tests of one file stay in one process: they share what they build.
TEST_ARGS ?= --numprocesses 2 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --prefer-binary $(PIP_ARGS)
INSTALLED := $(VENV)/.vssl-installed
DEVELOPED := $(VENV)/.vssl-developed

.PHONY: help quickstart install develop test lint types imports format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7
	@echo "also: install develop lint types imports format clean"

# The environment is made again only when pyproject.toml changes; the code itself is installed in place.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there; set PYTHON=/path/to/python3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vssl needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); set PYTHON=python3.12, say" >&2; exit 1; }
	@echo "==> Making the environment $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo "==> Installing vssl into $(VENV). PyTorch with its GPU libraries is a download of about 3 GB: minutes the first time."
	@$(PIP) --editable .
	@touch $@

$(DEVELOPED): pyproject.toml | $(BIN)/python
	@echo "==> Installing vssl and the tools of its tests into $(VENV): minutes the first time."
	@$(PIP) --editable '.[dev]'
	@touch $(INSTALLED) $@

install: $(INSTALLED)

develop: $(DEVELOPED)

quickstart: $(INSTALLED)
	@echo "==> Suite 'quickstart': about 6 minutes on two cores. Stop it whenever you like; the same command goes on from there."
	@$(BIN)/vssl bench run quickstart
	@$(BIN)/vssl leaderboard runs/quickstart --html quickstart/leaderboard.html
	@echo "==> Open quickstart/leaderboard.html in a browser."

test: $(DEVELOPED)
	$(BIN)/python -m pytest $(TEST_ARGS)

lint: $(DEVELOPED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEVELOPED)
	$(BIN)/mypy

imports: $(DEVELOPED)
	$(BIN)/lint-imports

format: $(DEVELOPED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
