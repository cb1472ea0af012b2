# Every target that people and CI use. `make help` explains them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 7420
DATA_DIR ?= .weft/demo
CODE := core discovery mesh clients server examples benchmarks tests tools
# Only where make keeps the outputs apart; elsewhere one after the other.
TWO_AT_ONCE := $(if $(filter output-sync,$(.FEATURES)),-j2 --output-sync=target)
PROTOS := $(sort $(wildcard protos/weft/api/*/v1/*.proto))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where Python may not keep what it compiled, every start of a server compiles all of it again: half a second.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start everything, run the document pipeline, show the results (KEEP=1 leaves it up)
	@$(BIN)/python examples/document_pipeline/run.py --port $(PORT) --data-dir $(DATA_DIR) $(if $(filter-out 0 no false,$(KEEP)),--keep)

stop: ## Stop what `make run KEEP=1` left up
	@$(BIN)/python examples/document_pipeline/run.py --data-dir $(DATA_DIR) --stop

test: checks tests ## Everything that must hold: CI runs exactly this

checks: $(VENV)/.dev ## Everything but the tests, two at the same time
	@$(MAKE) $(TWO_AT_ONCE) pyright mypy lint imports proto-check

tests: $(VENV)/.dev ## All tests
	@sh tools/consul > /dev/null
	@sh tools/postgres > /dev/null
	@$(BIN)/python -m pytest -n 3 --dist worksteal -q

lint: $(VENV)/.dev ## ruff: rules and formatting
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)

types: $(VENV)/.dev ## mypy (strict) and pyright, at the same time
	@$(MAKE) $(TWO_AT_ONCE) pyright mypy

mypy: $(VENV)/.dev
	@$(BIN)/mypy

pyright: $(VENV)/.dev
	@$(BIN)/pyright

imports: $(VENV)/.dev ## The dependency rule: who may import whom
	@$(BIN)/lint-imports --no-cache

proto: $(VENV)/.dev ## Write generated/ anew from protos/
	@$(BIN)/python tools/generate.py generated
	@$(BIN)/python tools/schema.py

proto-check: $(VENV)/.dev ## buf lint, buf breaking, and: generated/ is up to date
	@$(BIN)/buf lint
	@$(BIN)/buf breaking --against protos/baseline.binpb
	@$(BIN)/python tools/generate.py --check generated
	@$(BIN)/python tools/schema.py --check

proto-baseline: $(VENV)/.dev ## Take today's contracts as what must not break (at a release)
	@$(BIN)/buf build -o protos/baseline.binpb

consul: ## Where the Consul is that tests start: CONSUL_BIN, the one on PATH, or fetched into .tools/
	@sh tools/consul

postgres: $(VENV)/.dev ## Where the PostgreSQL is that tests start: POSTGRES_BIN, the system's, or a wheel's
	@sh tools/postgres

bench: $(VENV)/.dev ## Benchmarks, each as pairs side by side (ONLY=name for one)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

faults: $(VENV)/.dev ## The long run of the fault rig, on both stores (ARGS="--seed 1 --executions 500 --kills 20")
	@$(BIN)/python -m pytest tests/faults -q -m long
	@$(BIN)/python -m tests.faults --store sqlite $(ARGS)
	@$(BIN)/python -m tests.faults --store postgres $(ARGS)

generated: $(VENV)/.dev ## Try 2,000 generated definitions: each is refused, or runs to its end (COUNT=…, SEED=… repeats one)
	@WEFT_GENERATED=$(or $(COUNT),2000) WEFT_SEED=$(or $(SEED),0) $(BIN)/python -m pytest tests/unit/generated -q -s

fmt: $(VENV)/.dev ## Format, and fix what can be fixed
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

build: $(VENV)/.dev ## The wheel, in dist/
	@$(BIN)/python -m hatchling build -t wheel

lock: $(VENV)/.dev ## Resolve requirements/ anew, with hashes
	@for group in run dev; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header \
	    pyproject.toml --group run $$(test $$group = dev && echo --group dev) \
	    -o requirements/$$group.txt; \
	done

clean: ## Remove what was built and cached; data stays
	@rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@sh tools/make-venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) (once; takes about half a minute)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing the development tools"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: help run stop test tests consul postgres checks lint types mypy pyright imports proto proto-check proto-baseline bench faults generated fmt build lock clean
