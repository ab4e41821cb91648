.DEFAULT_GOAL := help
.PHONY: help setup run test check lint bench kill replicas soak simulate fuzz mutate fmt lock
SHELL := /bin/bash

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

define FIND_PYTHON
for candidate in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do \
  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$candidate"; break; }; \
done
endef

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## only the set-up: .venv with everything pinned by hash

run: setup  ## demo: embedded PostgreSQL, Pipedrive sandbox with sample data, the daemon
	$(BIN)/connector demo

test: setup  ## every test that this machine can run, on every core
	$(BIN)/pytest -n auto --dist worksteal

check: lint test  ## format, lint, types, layers, dependencies, tests

lint: setup  ## all of check but the tests
	$(BIN)/ruff format --check connector tests
	$(BIN)/ruff check connector tests
	$(BIN)/mypy --strict connector tests
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .

bench: setup  ## benchmark table and JSON
	$(BIN)/python -m tests.bench

kill: setup  ## kill -9 at 50 random moments during 2,000 changes with 5 % API faults; prints its figures
	KILL_FULL=1 $(BIN)/pytest -q -s tests/kill

replicas: setup  ## three replicas, 20 connections: 50 kills of random replicas during 10,000 changes; prints its figures
	REPLICAS_FULL=1 $(BIN)/pytest -q -s tests/replicas/test_replicas.py

soak: setup  ## steady load with faults for MINUTES=30, an open transaction in the middle third; figures in tests/soak/REPORT.md
	$(BIN)/python -m tests.soak $(or $(MINUTES),30)

simulate: setup  ## edits, deaths and faults in simulated time: SEEDS=5000, SEEDS=900001-900020, HOURS=8 or PLANTED=1; REPORT=1 adds to the report
	$(BIN)/python -m tests.simulation $(if $(PLANTED),--planted,$(if $(HOURS),--hours $(HOURS),$(or $(SEEDS),1000)) --shrink) $(if $(REPORT),--report)

fuzz: setup  ## hostile requests to the webhook endpoint of a whole daemon: REQUESTS=100000 SEED=1; prints its figures
	$(BIN)/python -m tests.fuzz $(or $(REQUESTS),10000) --seed $(or $(SEED),1)

mutate: setup  ## changes connector/core in 9,200 small ways and tells which no test notices; AGAIN=1: what changed or survived; MODULES='merge plan'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r mutate.lock
	nice -n 19 $(BIN)/python -m tests.mutation $(if $(AGAIN),--again) $(MODULES)

fmt: setup  ## formats the code and mends what the linter can mend
	$(BIN)/ruff check --fix-only --quiet connector tests
	$(BIN)/ruff format connector tests

lock: setup  ## writes the lock files anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate pyproject.toml -o run.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra dev -c run.lock pyproject.toml -o dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra mutate -c dev.lock pyproject.toml -o mutate.lock

$(STAMP): dev.lock pyproject.toml
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
	  echo "Connector needs Python 3.11 or newer. Install it, or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$python lacks venv or ensurepip. Debian, Ubuntu: apt-get install python3-venv. Or name another: make setup PYTHON=/path/to/python3" >&2; exit 1; fi; \
	$(BIN)/python -c '' 2>/dev/null || "$$python" -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' dev.lock > $(VENV)/uv.lock
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $(VENV)/uv.lock \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r dev.lock; then :; else \
	  echo "uv could not install; trying pip" >&2; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r dev.lock; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@
