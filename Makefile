# One command each; every one makes the environment in .venv when it is not there yet.
#   make test    every test               make demo    a real film through the daemon
#   make check   lint, types, contracts   make bench   quality, speed and memory
#   make chaos N=200   random kills under load: nothing lost, doubled or torn
#   make mutants N=500   broken films through the daemon: none crashes it or leaves anything behind
#   make errnos   every step of a job through every errno: one film's trouble stops no other film
#   make power-cuts N=50   a filesystem cut off under load, mounted, drained: every film exactly once
#   make soak N=2000   tiny films through one daemon: flat memory, handles and threads
#   make test-system   the installed service under a real systemd; root, systemd-container
# PYTHON picks the interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
READY := $(VENV)/.ready

# How many kills with the quick worker and with the real one, and the seed; see tests/process/chaos.py
N ?= 200
REAL ?= 20
SEED ?= 1

# Where the bench finds its clips, and what it runs; see docs/benchmarks.md
DATA ?= ../shared/data
PARTS ?= detect,quality,speed,memory
CASES ?=
METHODS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env check test chaos mutants errnos power-cuts soak test-system demo bench clean

help:
	@sed -n '2,10s/^# *//p' Makefile

env: $(READY)

# Stamps, so that pip is asked again only when what is to be installed has changed. The demo gets the
# product and what draws subtitles into a film; tests and checks need torch as well, which is large.
$(CORE): setup.cfg pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; README.md says how to get Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) tools/check_python.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(READY): $(CORE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py daemon erasecore bench tools
	$(BIN)/python tools/check_docstrings.py daemon erasecore tools
	$(BIN)/python -m pytest -q tests/unit/test_names.py tests/unit/test_parts.py

# Daemons and their clocks one after the other, all else on all cores
test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --ignore tests/process
	$(BIN)/python -m pytest tests/process

chaos: $(READY)
	$(BIN)/python -m tests.process.chaos --kills $(N) --real $(REAL) --seed $(SEED)
	$(BIN)/python -m tests.process.recovery

mutants: $(READY)
	$(BIN)/python -m tests.process.mutants $(N) $(SEED)

# Options of tests/process/errnos.py, such as --steps 'publish.*' --errnos EIO,EACCES
ERRNOS ?=

errnos: $(READY)
	$(BIN)/python -m tests.process.errnos --seed $(SEED) $(ERRNOS)

# An N that is given on the command line wins over these
power-cuts: N = 50
power-cuts: $(READY)
	$(BIN)/python -m tests.process.power_cuts --cuts $(N) --seed $(SEED)

soak: N = 2000
soak: $(READY)
	$(BIN)/python -m tests.process.soak $(N)

test-system: $(READY)
	$(BIN)/python -m pytest tests/system

demo: $(CORE)
	$(BIN)/python -m bench.demo

bench: $(READY)
	$(BIN)/python -m bench --data '$(DATA)' --parts '$(PARTS)' --cases '$(CASES)' --methods '$(METHODS)'

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
