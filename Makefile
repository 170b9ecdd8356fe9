# make repro   build everything: data, features, heads, metrics
# make test    run the tests, without the slow ones (ten minutes on two slow cores)
# make test-all  run all of them, as CI does
# make coverage  run all of them and tell which lines and branches none of them reaches
# make fuzz    wrong files for every reader, for minutes (make fuzz MINUTES=10 READER=conll JOBS=2)
# make check   format, lint and types, as CI does
# make format  apply the formatter and safe fixes
# make bench   run the benchmarks (make bench NAME=extract for one)
# make clean   remove what make built here, except .features and DVC's cache
# make lock    resolve the dependencies anew into the lock files of requirements/
# make vega    copy the plotting library anew from its package, after raising its version

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
INSTALLED := $(VENV)/.installed
# Without dependencies: the lock files list all of them.
PIP := python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps

.PHONY: setup repro test test-all coverage fuzz check format bench clean lock vega
.DEFAULT_GOAL := repro

setup: $(INSTALLED)
	@python -m stages.samples

$(INSTALLED): $(addprefix requirements/,lock.txt torch.txt torch-cpu.txt samples.txt) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "icehouse: $(PYTHON) is older than 3.11; use make PYTHON=python3.11"; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/lock.txt
	$(PIP) -r requirements/torch-cpu.txt 2>/dev/null || \
	  { echo "no CPU build of torch is at hand: taking PyPI's"; $(PIP) -r requirements/torch.txt; }
	$(PIP) -r requirements/samples.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: setup
	@python -m stages.check
	dvc repro

PYTEST := python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup
	$(PYTEST) -m "not slow"

test-all: setup
	$(PYTEST)

coverage: setup
	$(PYTEST) --cov --cov-report=term:skip-covered

MINUTES ?= 10
JOBS ?= 1
fuzz: setup
	python tests/fuzz/fuzz.py --minutes $(MINUTES) --jobs $(JOBS) $(addprefix --reader ,$(READER))

check: $(INSTALLED)
	ruff format --check .
	ruff check .
	mypy

format: $(INSTALLED)
	ruff format .
	ruff check --fix .

bench: setup
	$(PIP) -r requirements/peers.txt
	python -m benchmarks $(NAME)

clean:
	rm -rf data/encoders data/text data/labels data/features models
	rm -rf reports/mistakes reports/index.html dvc_plots
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov

lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv==0.13.9
	$(VENV)-lock/bin/python requirements/lock.py $(VENV)-lock/bin/uv
	rm -rf $(VENV)-lock

vega: $(INSTALLED)
	python -m stages.vega
