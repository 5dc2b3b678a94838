# `make` prints this help.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := $(wildcard libs/* services/*)
STAMP := $(VENV)/.installed

.PHONY: help install run run-cluster test test-unit check lint fmt type bench quality chaos rehearse proto proto-check constraints metrics-doc charts-schema dashboards reliability-report inventory capacity image-sizes licences sbom secrets advisories clean

help: ## Show this help
	@if [ -t 1 ]; then on='\033[1m' off='\033[0m'; fi; \
	awk -F':.*## ' -v on="$$on" -v off="$$off" '/^[a-z-]+:.*## /{printf "  %s%-14s%s %s\n", on, $$1, off, $$2}' $(MAKEFILE_LIST)

# --- Develop ---------------------------------------------------------------------------------------------------------
install: $(STAMP) ## Create the virtual environment and install everything into it

$(STAMP): constraints.txt $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Spanstream needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make $(or $(MAKECMDGOALS),run) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing (about 3 GB the first time; a few minutes on a fast line) ..."
	@$(BIN)/python tools/install_packages.py || { \
	  echo; echo "The packages could not be installed. If there was no network: connect once and run the same command again;"; \
	  echo "later runs need none. If the disk is full: the environment needs about 8 GB below $(CURDIR)/$(VENV)."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index $(addprefix -e ./,$(MEMBERS))
	@touch $(STAMP)

run: $(STAMP) ## Start everything on this machine, with a first corpus to search
	@exec $(BIN)/spanstream up

run-cluster: $(STAMP) ## The same, with the encoder in two processes of a local Ray Serve
	@exec $(BIN)/spanstream up --encoder-replicas 2

fmt: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

lint: $(STAMP) ## Check style; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(STAMP) ## Check types
	$(BIN)/mypy

# --- Test ------------------------------------------------------------------------------------------------------------
# Workers share the cores: threads of torch that wait for each other on busy ones take ten times as long as one thread.
test: export OMP_NUM_THREADS = 1
test: $(STAMP) ## All that a checkout must pass: unit, contract, integration, e2e, short forms of chaos, bench, quality, rehearsal
	$(BIN)/python -m pytest tests/unit tests/contract -n auto --maxprocesses 4
	$(BIN)/python -m pytest tests/quality tests/bench tests/chaos tests/rehearsal tests/e2e tests/integration -n 2 --dist loadfile --no-loadscope-reorder

test-unit: $(STAMP) ## Unit and contract tests, in seconds
	$(BIN)/python -m pytest tests/unit tests/contract -m "not integration"

chaos: $(STAMP) ## Every promise attacked, long form: simulated and real faults, some four hours, which go on where they were; writes docs/reliability-report.md
	$(BIN)/python -m pytest tests/chaos tests/integration/test_redrive.py tests/integration/test_restore.py tests/integration/test_migration.py tests/integration/test_moving.py --long -s
	$(BIN)/python -m tests.chaos.simulation --mutants
	$(BIN)/python -m tests.chaos.simulation --seeds 50000 --json bench-results/simulation.json
	$(BIN)/python -m tests.chaos.isolation --queries 100000 --json bench-results/isolation.json
	$(BIN)/python -m tests.chaos.parsers --files 100000 --json bench-results/parsers.json
	$(BIN)/python -m tests.chaos.full_disk --rounds 10 --json bench-results/full_disk.json
	$(BIN)/python -m tests.chaos.corruption --flips 10000 --json bench-results/corruption.json
	$(BIN)/python -m tests.chaos.faults --minutes 60 --json bench-results/faults.json
	$(BIN)/python -m tests.chaos.recovery --json bench-results/recovery.json
	$(BIN)/python -m tests.bench.overload --json bench-results/overload.json
	$(BIN)/python tools/reliability_report.py --take bench-results

rehearse: $(STAMP) ## The charts' manifests as processes on loopback, long form (docs/deployment.md); writes docs/reliability-report.md
	tools/install_helm.sh
	$(BIN)/python -m pytest tests/rehearsal --long -s
	$(BIN)/python tools/reliability_report.py --take bench-results

bench: $(STAMP) ## Speed, as ratios within one run, with machine facts; JSON below bench-results/
	$(BIN)/python -m tests.bench

quality: $(STAMP) ## Retrieval measures on the development data, through the public API; writes docs/representations.md's tables
	$(BIN)/python -m pytest tests/quality --long -s
	$(BIN)/python -m tests.quality.representations --only sts16 bird --page docs/representations.md
	$(BIN)/python -m tests.quality.representations --only cranfield medline cisi xquad --dtype bfloat16 --page docs/representations.md
	$(BIN)/python -m tests.quality.compression --page docs/representations.md

check: lint type proto-check test ## The gate: what CI runs

# --- Generate --------------------------------------------------------------------------------------------------------
proto: $(STAMP) ## Write the generated code from proto/
	$(BIN)/python tools/generate_events.py

proto-check: $(STAMP) ## Fail if the generated code is stale
	$(BIN)/python tools/generate_events.py --check

constraints: $(STAMP) ## Resolve constraints.txt again (add ARGS=--upgrade for newer versions)
	$(BIN)/python tools/compile_constraints.py $(ARGS)

metrics-doc: $(STAMP) ## Write docs/metrics.md
	$(BIN)/python tools/metrics_doc.py

charts-schema: $(STAMP) ## Write the services' settings into the chart's values.schema.json, and the topics beside it
	$(BIN)/python tools/chart_schema.py
	cp proto/topics.yaml charts/spanstream/files/topics.yaml

dashboards: $(STAMP) ## Write Grafana's dashboards
	$(BIN)/python tools/dashboards.py

reliability-report: $(STAMP) ## Write docs/reliability-report.md from the tests' marks and the results that are kept
	$(BIN)/python tools/reliability_report.py

inventory: $(STAMP) ## Write docs/inventory.md: what each profile of the chart deploys (needs Helm)
	tools/install_helm.sh
	$(BIN)/python -m tools.inventory

capacity: $(STAMP) ## Simulate the chart's autoscaling; writes the tables and the pictures of docs/capacity.md (needs Helm)
	tools/install_helm.sh
	$(BIN)/python -m tools.scaling

# --- Ship ------------------------------------------------------------------------------------------------------------
image-sizes: $(STAMP) ## What the third-party packages of each image weigh, as installed here
	@$(BIN)/python tools/image_requirements.py all sizes

licences: $(STAMP) ## Whether we may ship every package, by its licence
	@$(BIN)/python -m tools.licences

sbom: $(STAMP) ## Write each image's bill of materials (CycloneDX) to dist/sbom/
	@$(BIN)/python -m tools.sbom dist/sbom

secrets: $(STAMP) ## Look for secrets in files that git tracks, or would
	@$(BIN)/python -m tools.secret_scan

advisories: $(STAMP) ## Ask for known vulnerabilities of the pinned packages; says so where there is no network
	@$(BIN)/python -m tools.advisories

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis bench-results
