PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The versions that are installed and tested; empty for the newest of everything.
CONSTRAINTS ?= constraints.txt
# Where else packages may come from: --extra-index-url URL, or --find-links FOLDER of wheels.
PIP_ARGS ?=
PIP = $(BIN)/pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) $(PIP_ARGS)
# Tests start dozens of processes: what one has compiled, the others need not, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=
# More for pytest, such as --attention math.
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install constraints demo test test-newest test-oldest test-machines test-diffusers check bench bench-front soak docs clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(STAMP)  ## create .venv and install everything in it

# torch, torchvision and torch-fidelity go in together and first, so that their builds match.
$(STAMP): setup.cfg $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch torchvision torch-fidelity
	$(PIP) -e '.[dev]'
	touch $(STAMP)

# With the oldest Python that is supported: newer ones get versions that it cannot take.
constraints:  ## install the newest of everything apart, and write its versions to constraints.txt
	rm -rf .venv-newest
	$(MAKE) install VENV=.venv-newest CONSTRAINTS=
	(echo "# What is installed and tested; made by: make constraints"; \
	  .venv-newest/bin/pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//') > constraints.txt

demo: $(STAMP)  ## search the digits model (5 minutes) and leave the front in runs/digits
	$(BIN)/autosearch run digits --out runs/digits

test: $(STAMP)  ## run the tests (5 minutes at most)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup -m "not soak and not diffusers" --durations 10 $(PYTEST_ARGS)

test-newest:  ## run the tests with the newest version of everything, in .venv-newest
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

test-oldest:  ## run the tests with each lower bound of setup.cfg, in .venv-oldest
	mkdir -p build
	$(PYTHON) .ci/lower_bounds.py setup.cfg > build/oldest.txt
	$(MAKE) test VENV=.venv-oldest CONSTRAINTS=build/oldest.txt

test-machines:  ## run the tests as other processors would: kernels, instruction sets, threads, cores
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(MAKE) test PYTEST_ARGS="--attention math"
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=8 $(MAKE) test PYTEST_ARGS="--attention flash"
	taskset --cpu-list 0 $(MAKE) test

test-diffusers: $(STAMP)  ## run the long tests of diffusers pipelines
	$(BIN)/python -m pytest -m diffusers

check: $(STAMP)  ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## measure the budgets: engine time, sampler overhead, busy workers, what a lag costs (10 minutes)
	$(BIN)/python -m autosearch.experiments.benchmarks

bench-front: $(STAMP)  ## compare searches by cost to front on three spaces (hours), into runs/yardstick
	for space in timesteps solver; do \
	  $(BIN)/python -m autosearch.experiments.benchmarks.yardstick --space $$space || exit 1; \
	  $(BIN)/python -m autosearch.experiments.benchmarks.yardstick --space $$space --ablation || exit 1; \
	done
	$(BIN)/python -m autosearch.experiments.benchmarks.yardstick --space joint --seeds 0 1 2

soak: test-diffusers  ## run the long tests
	$(BIN)/python -m pytest -m soak

docs: $(STAMP)  ## build the documentation's site in build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove runs and caches, keep .venv
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
