# Targets for common tasks. `make help` lists them with their durations. Everything is installed into .venv/ of this checkout.

PYTHON ?= python3.11
# The package index for torch; empty: pip's default. On machines without a GPU, PyTorch's CPU index saves 3 GB.
TORCH_INDEX ?=
# The build of torch in the cluster's image (cpu, cu130, ...); TORCH_INDEX must have it.
TORCH_VARIANT ?=
SPEC ?= examples/demo.yaml
# The folder for the report and the figures of the demo.
REPORT ?= $(or $(TET_HOME),.tet)/demo
WORKERS ?= 2
# The number of processes that run the tests.
JOBS ?= 2
SEED ?= 1
ROUNDS ?= 1-20
export TORCH_INDEX TORCH_VARIANT SPEC WORKERS

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
PATHS := service tet_core tests benchmarks
# Folder for the coverage data of each process; deleted before each `make coverage`.
COVERAGE := .coverage

.DEFAULT_GOAL := help
# No target is a file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets with their durations on 2 cores (at once)
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

setup: $(STAMP) ## install everything into .venv/ (1 to 5 minutes the first time, then at once)

# Install torch first and alone, so that pip uses its index only for torch.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup up ## run the demo experiment, print its answer, write its report; the stack stays up (2 minutes)
	$(BIN)/tet submit $(SPEC) --follow --report $(REPORT)

up: setup ## start Ray, MLflow and the API (half a minute)
	$(BIN)/tet up

down: ## stop what `up` or `demo` started (10 seconds)
	@if test -x $(BIN)/tet; then $(BIN)/tet down; else echo "nothing is installed in $(VENV), so nothing is up"; fi

test: setup ## run the tests, except the long ones; without PostgreSQL, its tests are skipped (12 minutes)
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder -m "not long" $(ARGS)

test-long: setup ## run the long tests (8 minutes)
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder -m long $(ARGS)

test-fast: setup ## run the quick tests without a stack, for use after each change (90 seconds)
	$(BIN)/python -m pytest tests/unit -n $(JOBS) -m "not slow and not stack" -p no:schemathesis $(ARGS)

test-unit: setup ## run all unit tests, including slow ones (6 minutes)
	$(BIN)/python -m pytest tests/unit $(ARGS)

coverage: setup ## report lines that no test reaches; fails under 90 % of lines or 80 % of branches (35 minutes)
	rm -rf $(COVERAGE) && mkdir $(COVERAGE)
	-PYTHONPATH=$(CURDIR) $(BIN)/coverage run -m pytest -n $(JOBS) --no-loadscope-reorder $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o $(COVERAGE)/coverage.json
	$(BIN)/python -m tests.tools.coverage_report $(COVERAGE)/coverage.json

test-presets: setup ## run every preset on a real stack, and look at the reports in Debian's chromium; NAMES selects some (15 minutes)
	$(BIN)/python -m tests.system.presets $(NAMES)

test-chaos: setup ## cause 100 faults on a real stack and compare results; SEED and ROUNDS replay some (40 minutes)
	$(BIN)/python -m tests.system.chaos --seed $(SEED) --rounds $(ROUNDS)

test-queue: setup ## post 32 experiments at once to a real stack, cancel some (9 minutes)
	$(BIN)/python -m tests.system.queue $(SEED)

test-hostile: setup ## send hostile requests to a real stack beside a running experiment; SEED chooses the requests (8 minutes)
	$(BIN)/python -m tests.system.hostile $(SEED)

test-search: setup ## run searches on a real stack, kill their drivers, compare with an undisturbed search (5 minutes)
	$(BIN)/python -m tests.system.searching $(SEED)

test-until: setup ## run an experiment until its arms are decided on a real stack, undisturbed and with killed drivers (2 minutes)
	$(BIN)/python -m tests.system.until

test-fuzz: setup ## run events of the life cycle in random orders, and 20,000 requests from the API's description (30 minutes)
	$(BIN)/python -m tests.fuzz $(SEED)

test-workers: setup ## cause faults in trials of 2 and 4 workers on a cluster of several nodes; NAMES selects some (7 minutes)
	$(BIN)/python -W ignore -m tests.system.workers $(NAMES)

test-upgrade: setup ## continue experiments of an earlier version with this version, compare bit by bit (16 minutes the first time, then 13)
	$(BIN)/python -m tests.system.upgrade

test-browser: setup ## follow the links of an experiment in Debian's chromium, on a real stack (3 minutes)
	$(BIN)/python -W ignore -m tests.system.browser $(ARGS)

test-gpu: setup ## test the kernels for GPUs, on a GPU if there is one, else in Triton's interpreter (2 minutes)
	$(BIN)/python -m pytest -c /dev/null --rootdir . --confcutdir tests/gpu tests/gpu

bench-setup: setup ## install the libraries that `check` and `bench` compare with (2 minutes the first time)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'

check: bench-setup ## compare with SpikingJelly's LIF and tonic's AEDAT reader, and every model with its folded form; simulate error rates; writes benchmarks/results (6 minutes)
	$(BIN)/python -m benchmarks.checks.folding
	$(BIN)/python -m benchmarks.checks.spikingjelly_lif
	$(BIN)/python -m benchmarks.checks.tonic_aedat
	$(BIN)/python -m benchmarks.checks.until_decided

bench: bench-setup ## measure training steps, compare with plain convolutions and other libraries (20 minutes, on idle cores)
	$(BIN)/python -m benchmarks.training

bench-service: setup ## measure the service: 1,000 chains compared with bare Tune, the API over 1,000,000 stage rows, what an answer costs (25 minutes)
	$(BIN)/python -m benchmarks.service

bench-experiment: setup ## compare whole experiments with a bare pool of processes; PARTS selects some (40 minutes, on idle cores)
	$(BIN)/python -m benchmarks.service.experiment $(PARTS)

lint: setup ## check style, types, import contracts, dependencies and house rules (1 minute)
	$(BIN)/ruff check $(PATHS)
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry service tet_core
	$(BIN)/deptry tests benchmarks --ignore DEP002,DEP004
	$(BIN)/python -m tests.tools.house_rules

format: setup ## format the code (1 second)
	$(BIN)/ruff check --fix $(PATHS)
	$(BIN)/ruff format $(PATHS)

cluster: setup ## run the demo experiment on a cluster of containers: head, WORKERS workers, MLflow, PostgreSQL (10 minutes)
	TET=$(BIN)/tet deploy/cluster up

cluster-down: ## stop that cluster and remove its data (10 seconds)
	deploy/cluster down
