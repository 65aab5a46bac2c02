# Everything a developer or a first-time reader needs. `make demo` and `make test` work from a
# bare clone: they make .venv once and reuse it while pyproject.toml and constraints.txt stay.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup test demo lint types docs check-real bench fuzz clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --no-input --disable-pip-version-check
RUN_STAMP := $(VENV)/.radloop-run
DEV_STAMP := $(VENV)/.radloop-dev
DEMO_OUT ?= demo-out
PLAYWRIGHT := $(abspath $(VENV))/playwright
ARGS ?=

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup: $(DEV_STAMP)  ## make .venv with everything a developer needs

# One process a core, each with one thread: two libraries that both take all cores slow each other.
test: $(DEV_STAMP)  ## the tests (ARGS="tests/images -x" to choose)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

demo: $(RUN_STAMP)  ## read a dozen chest films, two head CT and two drawn jaws with the shipped models
	@$(BIN)/radloop demo --out $(DEMO_OUT)

lint: $(DEV_STAMP)  ## style: ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEV_STAMP)  ## types: mypy --strict
	@$(BIN)/mypy

docs: $(DEV_STAMP)  ## the documentation, into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "docs: site/index.html"

check-real: $(DEV_STAMP) $(PLAYWRIGHT)/node_modules  ## slow checks, on real images and in a browser
	@PLAYWRIGHT=$(PLAYWRIGHT) $(BIN)/python -m pytest -m "real or browser" -rs $(ARGS)

# What drives Chromium in the browser tests; without npm they say that they are skipped.
$(PLAYWRIGHT)/node_modules: | $(DEV_STAMP)
	@mkdir -p $(PLAYWRIGHT)
	@! command -v npm > /dev/null || npm install --silent --no-audit --no-fund \
	  --prefix $(PLAYWRIGHT) playwright-core@1

bench: $(DEV_STAMP)  ## films a second against the plain script; see benchmarks/README.md
	@$(BIN)/python benchmarks/predict_speed.py $(ARGS)

READERS := radiograph mask series nifti nifti-gz segmentation
SECONDS_A_READER ?= 100

fuzz: $(DEV_STAMP)  ## every reader fed with mutated files, ten minutes in all
	@$(PIP) install --progress-bar off --quiet -c constraints.txt -e '.[fuzz]'
	@for reader in $(READERS); do echo "fuzz: $$reader"; \
	  $(BIN)/python fuzz/readers.py $$reader $(SECONDS_A_READER) 2> fuzz-$$reader.log \
	  || { tail -40 fuzz-$$reader.log; exit 1; }; \
	  grep -E 'number_of_executed|slowest_unit|peak_rss' fuzz-$$reader.log; done

clean:  ## remove .venv and everything that was built
	@rm -rf $(VENV) site build dist $(DEMO_OUT) src/*.egg-info
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

# The first Python 3.11-3.13 on PATH that runs and can make an environment.
$(BIN)/python:
	@for python in python3 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys, venv, ensurepip; \
	      sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    echo "setup: $(VENV) with $$("$$python" --version)"; exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "setup: no Python 3.11, 3.12 or 3.13 with venv on PATH; install one and run again" >&2; \
	exit 2

# pip is quiet but for the packages that take time to fetch.
INSTALL = set -euo pipefail; \
	echo "setup: installing $(1) (once, some minutes: PyTorch is large)"; \
	$(PIP) install --progress-bar off -c constraints.txt -e '$(1)' \
	  | awk '/Downloading .*[0-9][0-9]\.[0-9] MB|Downloading .* GB/ \
	           {sub(/.*Downloading /, ""); print "setup:   fetching " $$0; fflush()} \
	         /^Installing collected/ {print "setup:   unpacking"; fflush()}'; \
	echo "setup: done"

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(call INSTALL,.[dev$(COMMA)docs])
	@touch $(RUN_STAMP) $(DEV_STAMP)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(call INSTALL,.)
	@touch $(RUN_STAMP)

COMMA := ,
