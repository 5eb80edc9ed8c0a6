# The door for people. `make run` and `make test` are all a newcomer needs.

SHELL   := /bin/bash
VENV    := .venv
BIN     := $(VENV)/bin
NATIVE  := CMakeLists.txt $(wildcard native/include/*.h native/src/*.c native/src/*.h native/python/*)

.PHONY: help run demo test lint format bench clean setup weights tools peers FORCE

help:
	@echo "make run     set up what is missing and start the server on this machine"
	@echo "make demo    place a call to it and print the conversation"
	@echo "make test    run every check and test"
	@echo "make lint    formatting, types, imports"
	@echo "make bench   response time and calls per core, printed"

run: weights
	@$(BIN)/offhook run

demo: weights
	@$(BIN)/offhook demo

# Most tests wait, for a sentence to be said or a line to be given up: so one process more than there are processors
# runs them. Which process runs which: tests/lanes.py.
TESTERS ?= $(shell echo $$(($$(nproc) < 7 ? $$(nproc) + 1 : 8)))

# The tests build C too, with the cmake and ninja that requirements.txt brought.
test: export PATH := $(CURDIR)/$(BIN):$(PATH)
test: weights tools peers lint
	@$(BIN)/offhook models pull --quiet-if-complete gemma-3-270m duplex
	@$(BIN)/offhook models build
	$(BIN)/python -m pytest -q -n $(TESTERS)

lint: tools
	$(BIN)/ruff format --check server models tests loadtest dialplans
	$(BIN)/ruff check server models tests loadtest dialplans
	$(BIN)/mypy
	$(BIN)/lint-imports

format: tools
	$(BIN)/ruff format server models tests loadtest dialplans
	$(BIN)/ruff check --fix server models tests loadtest dialplans

bench: weights
	$(BIN)/python loadtest/response.py
	$(BIN)/python loadtest/calls.py --calls 50

setup: $(VENV)/.installed

$(VENV)/.ready: requirements.txt setup.sh
	@./setup.sh environment
	@echo $(CURDIR) >$@

# A virtual environment knows where it lies: in a checkout that was moved it is made again.
ifneq ($(shell cat $(VENV)/.ready 2>/dev/null),$(CURDIR))
$(VENV)/.ready: FORCE
endif

$(VENV)/.installed: $(VENV)/.ready pyproject.toml $(NATIVE)
	@./setup.sh build
	@touch $@

weights: setup
	@$(BIN)/offhook models pull --quiet-if-complete

tools: $(VENV)/.tools

$(VENV)/.tools: requirements-dev.txt setup.sh | setup
	@./setup.sh tools
	@touch $@

peers: setup
	@./setup.sh peers

clean:
	rm -rf build $(VENV)
