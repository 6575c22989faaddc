# Every target works as the first command on a machine with Python 3.11 to 3.13 and make.
.DEFAULT_GOAL := help
.PHONY: help run dev test soak deployment lint format bench docs lock audit sbom wheel secrets manifests clean

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' 2>/dev/null \
  && { echo $$p; break; }; done)
BIN := .venv/bin

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed and was not found; install it or run: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv

# Dependencies come from the locks, by hash; the package itself is installed in place.
LOCKED := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement
IN_PLACE := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .

.venv/.run-installed: pyproject.toml setup.py requirements.lock requirements-build.lock | .venv/bin/python
	@echo "Installing hl_assets and what it needs into .venv; a minute or two, once."
	@$(LOCKED) requirements-build.lock
	@$(LOCKED) requirements.lock
	@$(IN_PLACE)
	@touch $@

.venv/.dev-installed: pyproject.toml setup.py requirements-dev.lock requirements-build.lock | .venv/bin/python
	@echo "Installing hl_assets with its development tools into .venv; a minute or two, once."
	@$(LOCKED) requirements-build.lock
	@$(LOCKED) requirements-dev.lock
	@$(IN_PLACE)
	@touch $@ .venv/.run-installed

run: .venv/.run-installed ## Rank the sandbox's traders now: no keys, no Docker, no network
	@$(BIN)/hl-assets run

dev: .venv/.run-installed ## Embedded ClickHouse, sandbox, Dagster UI and daemon, until Ctrl-C
	@$(BIN)/hl-assets dev

test: lint ## Lint, types and the whole test suite
	$(BIN)/pytest -n 2 --dist worksteal

soak: .venv/.dev-installed ## A thousand slots under faults, and the like: an hour and more
	$(BIN)/pytest -m soak -n 3 --dist worksteal -rP

deployment: .venv/.dev-installed ## Every service of docker-compose.yml by hand, with PostgreSQL; 40 minutes
	$(BIN)/pytest -m soak hl_assets_tests/deployment

lint: .venv/.dev-installed ## Ruff, mypy, secret scan, and the advisories where the package index has them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python deploy/secret_scan.py
	$(BIN)/python deploy/audit.py --offline-ok

audit: .venv/.dev-installed ## Known vulnerabilities of what is locked; an error if nobody could be asked
	$(BIN)/python deploy/audit.py

sbom: .venv/.dev-installed ## What the image contains, as CycloneDX: dist/sbom.json
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-file dist/sbom.json requirements.lock

format: .venv/.dev-installed ## Format and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev-installed ## Benchmarks, as ratios against a peer and the physical floor
	$(BIN)/python -m benchmarks

docs: .venv/.run-installed ## Regenerate docs/tables.md, docs/licences.md and .env.example
	$(BIN)/python -m hl_assets.schemas.docs
	$(BIN)/python -m hl_assets.settings
	$(BIN)/python deploy/licences.py

# One lock for Python 3.11 to 3.13 and every platform; what is locked already stays unless UPGRADE says otherwise.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
  --custom-compile-command "make lock" $(UPGRADE)

lock: .venv/.dev-installed ## Make the locks anew from pyproject.toml; UPGRADE=--upgrade also takes newer versions
	$(COMPILE) --extra kubernetes --extra postgres pyproject.toml --output-file requirements.lock
	$(COMPILE) --all-extras --constraints requirements.lock pyproject.toml --output-file requirements-dev.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(COMPILE) --no-annotate - --output-file requirements-build.lock

wheel: .venv/.dev-installed ## Build dist/*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

secrets: ## Make the files of ./secrets that docker-compose.yml mounts, as far as they are missing
	@deploy/make-secrets.sh

manifests: ## Render deploy/kubernetes into dist/manifests.yaml; needs kubectl
	@command -v kubectl >/dev/null || { echo "kubectl was not found; it renders the manifests and asks no cluster"; exit 1; }
	@mkdir -p dist
	kubectl kustomize deploy/kubernetes > dist/manifests.yaml

clean: ## Remove caches and the virtual environment; data under .hl_assets stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
