# Every target works on a fresh clone with Python 3.11, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

.PHONY: install demo test validate bench lint docs wheel clean

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e '.[torch]'
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) install -c constraints.txt -e '.[torch,test,dev,docs]'
	touch $@

install: $(VENV)/.dev

demo: $(VENV)/.base
	$(BIN)/opalesce demo --out demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile  # one process per file: fixtures of a file are made once

validate: $(VENV)/.dev
	$(BIN)/python -m pytest -m validate
	$(BIN)/python -m benchmarks.validation --out validation
	$(BIN)/python -m benchmarks.percolation_validation --out validation/percolation
	$(BIN)/python -m benchmarks.brill --out validation/brill
	$(BIN)/python -m benchmarks.brill_mlp --out validation/brill_mlp
	$(BIN)/python -m benchmarks.brill_court
	$(BIN)/python -m benchmarks.pruning
	$(BIN)/python -m benchmarks.attention_flow
	$(BIN)/python -m benchmarks.phenomena
	$(BIN)/python -m benchmarks.pythia_p1
	$(BIN)/python -m benchmarks.decay_phases
	$(BIN)/python -m benchmarks.concepts --out validation/concepts
	$(BIN)/python -m benchmarks.vision
	$(BIN)/python -m benchmarks.simulated_curves
	$(BIN)/python -m benchmarks.pythia_forecast
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python -m benchmarks.plan_check
	$(BIN)/python -m benchmarks.sharded
	$(BIN)/python -m benchmarks.grammar --out validation/grammar
	$(BIN)/python -m benchmarks.hops --out validation/hops
	$(PIP) install -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m benchmarks.fuzz --inputs 1000000

bench: $(VENV)/.base
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt -e . weightwatcher==0.7.7 ruptures safetensors torch networkit python-igraph networkx openpnm connected-components-3d chinchilla==0.2.0
	.venv-bench/bin/python -m benchmarks.run

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -q -W -b html docs docs/_build

wheel:
	rm -rf dist .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip --disable-pip-version-check -q wheel --no-deps -w dist .
	.venv-wheel/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/python -I ../.ci/bare.py

clean:
	rm -rf $(VENV) .venv-bench .venv-wheel dist demo docs/_build
