# Every target works as the first command on a machine with Python 3.11 to 3.13 and make.
.DEFAULT_GOAL := help
.PHONY: help run dev test soak lint format bench docs clean

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' 2>/dev/null \
  && { echo $$p; break; }; done)
BIN := .venv/bin

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed and was not found; install it or run: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.run-installed: pyproject.toml setup.py | .venv/bin/python
	@echo "Installing hl_assets and what it needs into .venv; a minute or two, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.dev-installed: pyproject.toml setup.py | .venv/bin/python
	@echo "Installing hl_assets with its development tools into .venv; a minute or two, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.run-installed

run: .venv/.run-installed ## Rank the sandbox's traders now: no keys, no Docker, no network
	@$(BIN)/hl-assets run

dev: .venv/.run-installed ## Embedded ClickHouse, sandbox, Dagster UI and daemon, until Ctrl-C
	@$(BIN)/hl-assets dev

test: lint ## Lint, types and the whole test suite
	$(BIN)/pytest -n 2 --dist worksteal

soak: .venv/.dev-installed ## A thousand slots under faults, and the like: an hour and more
	$(BIN)/pytest -m soak -n 3 --dist worksteal -rP

lint: .venv/.dev-installed ## Ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev-installed ## Format and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev-installed ## Benchmarks, as ratios against a peer and the physical floor
	$(BIN)/python -m benchmarks

docs: .venv/.run-installed ## Regenerate docs/tables.md and .env.example
	$(BIN)/python -m hl_assets.schemas.docs
	$(BIN)/python -m hl_assets.settings

clean: ## Remove caches and the virtual environment; data under .hl_assets stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
