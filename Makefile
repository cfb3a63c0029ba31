# Chores of gptdiag. `make demo` and `make test` need nothing but Python 3.10+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo train-demo test check fix docs golden bench score peers wheel clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "gptdiag needs Python 3.10 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "cannot make $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/core: setup.cfg | $(BIN)/python
	@echo "installing the core into $(VENV) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/train: setup.cfg constraints.txt | $(BIN)/python
	@echo "installing the trainer into $(VENV) ..."
	@$(PIP) -e '.[train]'
	@touch $@ $(VENV)/core

$(VENV)/all: setup.cfg constraints.txt | $(BIN)/python
	@echo "installing everything into $(VENV) ..."
	@$(PIP) -e '.[train,dev]'
	@touch $@ $(VENV)/core $(VENV)/train

demo: $(VENV)/core  ## Install the core (no torch) and analyse a real log
	@$(BIN)/gptdiag analyze examples/overfitting_cpu.log --dataset-tokens 10000

train-demo: $(VENV)/train  ## Train for a minute on Python's own source, without a network, and diagnose it
	@$(BIN)/gptdiag prepare pystdlib
	@$(BIN)/gptdiag train config/cpu_tiny.py
	@$(BIN)/gptdiag analyze out-cpu-tiny/run.jsonl

test: $(VENV)/all  ## Install everything and run the tests
	$(BIN)/python -m pytest -n auto

check: $(VENV)/all  ## Lint, format, types, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.generate --check

fix: $(VENV)/all  ## Format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/all  ## Write the generated pages
	$(BIN)/python -m tests.generate

golden: $(VENV)/all  ## Accept the reports as they are now
	$(BIN)/python -m pytest -q tests/report --update-golden

bench: $(VENV)/all  ## Measure speed and memory, append to the history
	$(BIN)/python -m tests.benchmarks.speed

score: $(VENV)/all  ## Score the detectors on the corpus beside this folder, append to the history
	$(BIN)/python -m tests.benchmarks.score

peers: $(VENV)/all  ## Run five other tools on the corpus too (about 12 minutes), write docs/peers.md
	$(BIN)/python -m tests.benchmarks.peers --venv $(VENV)-peers

wheel: $(VENV)/all  ## Build the wheel and try it in an empty folder
	sh tests/try_wheel.sh $(BIN)/python

clean:  ## Remove what was built
	rm -rf $(VENV) $(VENV)-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
