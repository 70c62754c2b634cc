# Short ways to the usual things; `make help` lists them. Everything is installed into .venv/ of this checkout.

PYTHON ?= python3.11
# The index to take torch from; empty: where pip looks anyway. Machines without a GPU save 3 GB with PyTorch's CPU index.
TORCH_INDEX ?=
# For the cluster's image: a build of torch that TORCH_INDEX has (cpu, cu130, ...).
TORCH_VARIANT ?=
SPEC ?= examples/digits.yaml
WORKERS ?= 2
# Processes that share the tests.
JOBS ?= 2
SEED ?= 1
ROUNDS ?= 1-20
export TORCH_INDEX TORCH_VARIANT SPEC WORKERS

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
PATHS := service tet_core tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test test-unit test-presets test-chaos test-queue test-search test-fuzz test-workers \
	test-upgrade test-gpu \
	bench-setup bench \
	bench-service check \
	lint format cluster cluster-down

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(STAMP) ## install everything into .venv/

# torch first and alone, so that its index is asked for torch only.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup up ## run the demo experiment and print its comparison; the stack stays up
	$(BIN)/tet submit $(SPEC) --follow

up: setup ## start Ray, MLflow and the API
	$(BIN)/tet up

down: ## stop what `up` or `demo` started
	@if test -x $(BIN)/tet; then $(BIN)/tet down; else echo "nothing is installed in $(VENV), so nothing is up"; fi

test: setup ## all tests (those on PostgreSQL are skipped where it is not installed)
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder $(ARGS)

test-unit: setup ## the quick tests alone
	$(BIN)/python -m pytest tests/unit $(ARGS)

test-presets: setup ## every preset through a real stack (about 20 minutes on 2 cores); NAMES picks some
	$(BIN)/python -m tests.system.presets $(NAMES)

test-chaos: setup ## strike a real stack 100 times and compare (about 40 minutes on 2 cores); SEED and ROUNDS replay some
	$(BIN)/python -m tests.system.chaos --seed $(SEED) --rounds $(ROUNDS)

test-queue: setup ## 32 experiments posted at once on a real stack, some cancelled (about 9 minutes on 2 busy cores)
	$(BIN)/python -m tests.system.queue $(SEED)

test-search: setup ## searches on a real stack whose drivers are killed, beside one that is left alone (about 5 minutes)
	$(BIN)/python -m tests.system.searching $(SEED)

test-fuzz: setup ## every order of things, and 20,000 requests from the API's description (about half an hour on 2 cores)
	$(BIN)/python -m tests.fuzz $(SEED)

test-workers: setup ## trials of 2 and 4 workers on a cluster of several nodes, struck (about 7 minutes on 2 cores); NAMES picks some
	$(BIN)/python -W ignore -m tests.system.workers $(NAMES)

test-upgrade: setup ## what the version before has stored, under this one, bit by bit (about 13 minutes on 2 cores, and 3 to install)
	$(BIN)/python -m tests.system.upgrade

test-gpu: setup ## the kernels for GPUs: on a GPU if there is one, else by Triton's interpreter
	$(BIN)/python -m pytest -c /dev/null --rootdir . --confcutdir tests/gpu tests/gpu

bench-setup: setup ## install the libraries that we are measured and checked against
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'

check: bench-setup ## longer checks: folding on every model, SpikingJelly's LIF, tonic's AEDAT reader; writes benchmarks/results
	$(BIN)/python -m benchmarks.checks.folding
	$(BIN)/python -m benchmarks.checks.spikingjelly_lif
	$(BIN)/python -m benchmarks.checks.tonic_aedat

bench: bench-setup ## what a training step takes beside the plain convolutions and other libraries (20 minutes on 2 idle cores)
	$(BIN)/python -m benchmarks.training

bench-service: setup ## what the service costs: 1,000 chains beside bare Tune, the API over 1,000,000 stage rows (20 minutes)
	$(BIN)/python -m benchmarks.service

lint: setup ## ruff, types, import walls
	$(BIN)/ruff check $(PATHS)
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## bring the code into shape
	$(BIN)/ruff check --fix $(PATHS)
	$(BIN)/ruff format $(PATHS)

cluster: setup ## run the demo experiment on a cluster of containers (head, WORKERS workers, MLflow, PostgreSQL)
	TET=$(BIN)/tet deploy/cluster up

cluster-down: ## stop that cluster and remove its data
	deploy/cluster down
