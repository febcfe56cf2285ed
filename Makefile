PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-diffusers check bench bench-front soak docs clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(STAMP)  ## create .venv and install everything in it

# torch, torchvision and torch-fidelity go in together and first, so that their builds match.
$(STAMP): setup.cfg
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch torchvision torch-fidelity
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## search the digits model (5 minutes) and leave the front in runs/digits
	$(BIN)/autosearch run digits --out runs/digits

test: $(STAMP)  ## run the tests (10 minutes at most)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup -m "not soak and not diffusers"

test-diffusers: $(STAMP)  ## run the long tests of diffusers pipelines
	$(BIN)/python -m pytest -m diffusers

check: $(STAMP)  ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## measure the budgets: engine time, sampler overhead
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
