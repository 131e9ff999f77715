# Everything a person or a machine does with this project. `make` prints it.
# Only targets that start with setting up: all tools run from .venv, made from requirements/dev.txt when that changes.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
READY := $(VENV)/ready
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTEST := $(PY) -m pytest
COMPOSE := docker compose --file deploy/compose.yaml

FAST := tests/spec tests/unit tests/schemas tests/golden tests/contract tests/component tests/oracle tests/simulation
DAYS ?= 120
SEEDS ?= 20
ROUNDS ?= 3
ARGS ?=

help: ## print this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/dev.txt tools/setup.sh
	@tools/setup.sh $(VENV) requirements/dev.txt
	@touch $@

setup: $(READY) ## virtual environment with hashed dependencies (every target does this by itself)

run: $(READY) ## run the whole loop here: broker, three services, mail sink, a simulated ward
	@$(PY) -m deploy.demo $(ARGS)

test: check ## all that a change must pass: check, then every test, real broker included (ARGS=... to pytest)
	$(PYTEST) --durations=10 $(ARGS)

test-fast: $(READY) ## what needs no broker: spec, unit, schemas, golden, contract, component, simulation
	$(PYTEST) $(wildcard $(FAST)) $(ARGS)

coverage: $(READY) ## test-fast with the lines and branches it leaves out
	$(PYTEST) --cov --cov-report=term --cov-report=html:build/coverage $(wildcard $(FAST)) $(ARGS)

fmt: $(READY) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(READY) ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) -m schemas.registry --check
	$(PY) -m tools.generate_tables --check
	$(PY) -m tools.generate_ctcae --check
	$(PY) -m tools.docs --check

simulate: $(READY) ## a hospital on virtual time: SEED= for one, else SEEDS= many; DAYS=
	@$(PY) -m tests.simulation --days $(DAYS) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

chaos: $(READY) ## real broker, real processes, kill -9: ROUNDS=
	@for round in $$(seq $(ROUNDS)); do echo "round $$round"; $(PYTEST) tests/acceptance/test_kill.py $(ARGS) || exit 1; done

bench: bench-loop ## all figures, each beside a named baseline

bench-loop: $(READY) ## frame to alert and frame to mail at 50 messages/s, then the two rates below
	@$(PY) -m benchmarks.loop $(ARGS)

bench-ingest: $(READY) ## messages/s over MLLP, answered only when durable
	@$(PY) -m benchmarks.ingest $(ARGS)

bench-detector: $(READY) ## reports/s on replay, into the store
	@$(PY) -m benchmarks.detector $(ARGS)

docs: $(READY) ## write the generated pages of docs/
	@$(PY) -m tools.docs

tables: $(READY) ## write the analyte, unit and CTCAE tables from tools/facts
	@$(PY) -m tools.generate_tables
	@$(PY) -m tools.generate_ctcae

schemas: $(READY) ## write schemas/json
	@$(PY) -m schemas.registry

requirements: $(READY) ## pin the dependencies of pyproject.toml with hashes (ARGS=--upgrade for newer ones)
	@requirements/refresh $(ARGS)

sbom: $(READY) ## bills of materials of what each service ships, in build/sbom
	@mkdir -p build/sbom
	@for service in ingest detector notifier; do \
		$(PY) -m tools.bill_of_materials $$service > build/sbom/$$service.json && echo build/sbom/$$service.json; done

broker: $(READY) ## start Kafka alone on 127.0.0.1:9092, until Ctrl-C
	@$(PY) deploy/local-kafka/local_kafka.py serve

up: ## the containers of deploy/compose.yaml
	$(COMPOSE) up --build --detach --wait

down: ## end them; the volumes stay (ARGS=--volumes to lose the data)
	$(COMPOSE) down $(ARGS)

logs: ## what the containers say
	$(COMPOSE) logs --follow

clean: ## remove what tests, checks and the demo left
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* var/demo
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## also the virtual environment and Kafka's jars
	rm -rf $(VENV) deploy/local-kafka/libs deploy/local-kafka/libs.lock

.PHONY: help setup run test test-fast coverage fmt check simulate chaos bench bench-loop bench-ingest bench-detector docs tables schemas \
	requirements sbom broker up down logs clean distclean
