# Every target sets up .venv first (.ci/setup; at once when it is current).
# PROFILE names a built-in profile or a YAML file; FINECAP_HOME says where its state lives.
PYTHON := .venv/bin/python
PROFILE ?= $(or $(FINECAP_PROFILE),scenes)
SEEDS ?= 0,1,2
override FINECAP_PROFILE := $(PROFILE)
export FINECAP_PROFILE
# One thread per process: two stages run side by side.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run test up lint types contracts audit study soak bench docs data-new-version

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 18

setup:
	@.ci/setup

run: setup ## the whole pipeline; a second run makes only what has changed
	@$(PYTHON) -m dagster_project.run $(if $(FORCE),--force) $(if $(DATA_REV),--data-rev $(DATA_REV)) \
		$(if $(CLIP_CHECKPOINT),--clip-checkpoint $(CLIP_CHECKPOINT)) \
		$(if $(JUDGE_CHECKPOINT),--judge-checkpoint $(JUDGE_CHECKPOINT))

test: ## all tests
	@.ci/setup --browser
	@$(PYTHON) -m pytest -q $(ARGS)

up: setup ## Dagster on http://localhost:3000, MLflow on :5000, search on :8000; STACK=postgres: as a team has it; Ctrl-C stops all
	@$(PYTHON) -m dagster_project.up $(if $(STACK),--stack $(STACK))

lint: setup ## ruff
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

types: setup ## pyright
	@.venv/bin/pyright

contracts: setup ## import contracts
	@.venv/bin/lint-imports

audit: setup ## known vulnerabilities of what is installed (needs the network)
	@$(PYTHON) .ci/audit

study: setup ## the chain once per seed, e.g. make study SEEDS=0,1,2
	@$(PYTHON) -m dagster_project.study --seeds $(SEEDS)

soak: setup ## full counts of kills; runs without network, in a team's stack; coco at its sizes
	@FINECAP_CRASHES=20 FINECAP_REAL_SIZES=1 $(PYTHON) -m pytest -q --timeout 3600 \
		tests/finecap/search/test_crashes.py tests/finecap/models/test_features.py \
		tests/finecap/profiles tests/dagster_project/test_crashes.py \
		tests/dagster_project/test_daemon.py tests/dagster_project/test_run.py \
		tests/dagster_project/test_up.py

bench: setup ## speed and memory, written to var/bench; e.g. make bench NAMES=cider
	@$(PYTHON) -m tests.benchmarks $(NAMES)

data-new-version: setup ## what changed in DATA (default: data) since the last commit, and `dvc add`
	@-.venv/bin/finecap data diff HEAD --data $(or $(DATA),data)
	@.venv/bin/dvc add $(or $(DATA),data)
	@echo 'next: git add $(or $(DATA),data).dvc && git commit; the sensor new_data, or `make run`, retrains'

docs: setup ## the generated parts of README.md
	@$(PYTHON) -m dagster_project.docs
